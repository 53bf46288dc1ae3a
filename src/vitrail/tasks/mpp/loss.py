"""Learning to see by telling what stood in the place of corrupted patches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.layers.masking import random_mask
from vitrail.layers.patches import grid_of, pad_to_patches, patchify
from vitrail.models.mpp import MASKED, MPP, colour_of
from vitrail.tasks.baseline import visible_neighbours
from vitrail.tasks.loss import ModelLoss

# Of the corrupted patches (ViT, appendix B.1.2, after BERT): the mask token, another patch, and unchanged the rest.
SHARE_MASKED = 0.8
SHARE_REPLACED = 0.1


class PatchPrediction(ModelLoss):
    """Masked patch prediction: cross-entropy of colours, or squared error of pixels, over the corrupted patches.

    Args:
        model: encoder and predictor.
        preprocessing: how its images are normalised.
        majority: the colour that most patches of the training images have; what guessing it scores is measured.
    """

    def __init__(self, model: MPP, preprocessing: Preprocessing, majority: int = 0) -> None:
        super().__init__(model, preprocessing)
        self.majority = majority

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``image`` (B, C, H, W) uint8, ``mask`` and ``source`` (B, N)."""
        images, pixels = self.normalise(batch["image"]), in_unit_range(batch["image"])
        return {"loss": self.model.loss(images, pixels, batch["mask"], batch["source"])}

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``loss`` and, unless pixels are predicted, of four shares.

        ``accuracy`` is the share of hidden cells whose colour is right. The baselines are ``majority_accuracy``,
        always guessing the most frequent colour of the training images; ``copy_accuracy``, copying a visible
        neighbour, the mean over all that are visible; and ``neighbour_accuracy``, taking the colour of those
        neighbours' mean. Hidden are the places of the mask token: what was left unchanged would be too easy.
        """
        mask, source = batch["mask"], batch["source"]
        pixels = in_unit_range(batch["image"])
        count = mask.sum()
        loss = self.model.loss(self.normalise(batch["image"]), pixels, mask, source)
        sums = {"loss": (loss.double() * count, count)}
        if self.model.config.target == "full":
            return sums
        target, hidden = self.model.target(pixels), source == MASKED
        best = self.model(self.normalise(batch["image"]), source).argmax(dim=-1)
        copied, blended = neighbour_shares(self.model, pixels, mask, target)
        right = {
            "accuracy": (best == target).double(),
            "majority_accuracy": (target == self.majority).double(),
            "copy_accuracy": copied,
            "neighbour_accuracy": blended,
        }
        cells = hidden.sum() * target.shape[-1]
        return sums | {name: (value[hidden].sum(), cells) for name, value in right.items()}

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        encoder = {f"model.encoder.{name}" for name in self.model.encoder.no_weight_decay()}
        return encoder | {"model.predictor.mask_token"}


class CorruptionDrawer:
    """Draws which patches of one image are corrupted, and how, in the loader, so that it belongs to the image.

    Args:
        patch_size: P, in pixels.
        mask_ratio: share corrupted, in (0, 1).
    """

    def __init__(self, patch_size: int, mask_ratio: float) -> None:
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return ``mask`` (N,) bool, 1 = corrupted, and ``source`` (N,) for `MPP.forward`, for an image (C, H, W)."""
        h, w = grid_of(image.shape[-2], image.shape[-1], self.patch_size)
        mask, fate = random_mask(h * w, self.mask_ratio), torch.rand([h * w])
        own = torch.arange(h * w)
        # From 1 to N - 1 places further on, so that it is always another patch.
        other = (own + torch.randint(1, h * w, [h * w])) % (h * w)
        source = torch.where(mask & (fate < SHARE_MASKED + SHARE_REPLACED), other, own)
        return {"mask": mask, "source": source.masked_fill(mask & (fate < SHARE_MASKED), MASKED)}


def in_unit_range(images: Tensor) -> Tensor:
    """Turn uint8 images into floats from 0 to 1."""
    return images.float() / 255


def majority_colour(model: MPP, images: Iterable[Tensor]) -> int:
    """Return the colour that most cells of some images ``(C, H, W)`` uint8 have; 0 where pixels are predicted."""
    if model.config.target == "full":
        return 0
    counts = torch.zeros(model.colours, dtype=torch.int64)
    for image in images:
        counts += model.target(in_unit_range(image.unsqueeze(0))).flatten().bincount(minlength=len(counts))
    return int(counts.argmax())


def neighbour_shares(model: MPP, pixels: Tensor, mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Say how often the visible neighbours of each patch have its colours.

    Args:
        model: says what the targets are.
        pixels: ``(B, C, H, W)`` in [0, 1].
        mask: ``(B, N)`` bool, 1 = corrupted, so not visible.
        target: ``(B, N, cells)`` colours.

    Returns:
        ``(B, N, cells)`` twice: the share of the visible neighbours whose mean colour falls into the cell's, and
        whether the mean of all of them does.
    """
    weights = visible_neighbours(mask, model.grid(pixels))
    patches = patchify(pad_to_patches(pixels, model.patch_size), model.patch_size)
    colours = patches.unflatten(-1, (-1, pixels.shape[1])).mean(dim=2)  # (B, N, C)
    numbers = F.one_hot(colour_of(colours), model.colours).to(weights.dtype)
    copied = (weights @ numbers).gather(2, target)
    blended = colour_of(weights @ colours).unsqueeze(-1) == target
    return copied.double(), blended.double()
