"""Learning to see by filling in hidden patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vitrail.config import Preprocessing
from vitrail.data.normalise import Normalise
from vitrail.layers.masking import Masking, draw_mask
from vitrail.layers.patches import grid_of, unpatchify
from vitrail.models.mae import MAE
from vitrail.models.targets import Pixels, Tokens, patches_of


class Reconstruction(nn.Module):
    """Masked autoencoding: squared error, or of tokens cross-entropy, over the hidden patches.

    Args:
        model: the masked autoencoder.
        preprocessing: how its pictures are normalised.
    """

    def __init__(self, model: MAE, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.normalise = Normalise(preprocessing.mean, preprocessing.std)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``image`` (B, C, H, W) uint8 and ``mask`` (B, N), 1 = hidden."""
        return {"loss": self.model.loss(self.normalise(batch["image"]), batch["mask"])}

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``loss``, and of what the yardstick reaches that knows nothing of pictures.

        It fills hidden patches with `neighbour_mean`: ``neighbour_loss`` is the loss it would have. Of tokens, which
        have no mean, the shares that are right are told instead: ``accuracy``, and ``neighbour_accuracy``.
        """
        images, mask = self.normalise(batch["image"]), batch["mask"]
        parts = self.model.split(images, mask)
        target, guess = self.model.target(images, parts.hidden), self._guess(images, mask)
        count = torch.tensor(len(images), device=images.device)
        sums = {"loss": (self.model.loss_of(images, parts).double() * count, count)}
        if isinstance(self.model.decoder.target, Tokens):
            best = self.model(images, mask).predicted.argmax(dim=-1, keepdim=True)
            right = {
                "accuracy": best[mask] == target.flatten(0, 1),
                "neighbour_accuracy": guess[mask] == target.flatten(0, 1),
            }
            hidden = mask.sum()
            return sums | {name: (value.double().sum(), hidden) for name, value in right.items()}
        loss = self.model.decoder.target.loss(guess[mask], target.flatten(0, 1))
        return sums | {"neighbour_loss": (loss.double() * count, count)}

    def _guess(self, images: Tensor, mask: Tensor) -> Tensor:
        """Return what would be predicted, ``(B, N, ...)``, of pictures filled with the mean of visible neighbours."""
        grid, size = self.model.grid(images), self.model.patch_size
        if isinstance(self.model.decoder.target, Pixels):
            return neighbour_mean(self.model.target(images), mask, grid, images.shape[1])
        filled = neighbour_mean(patches_of(images, size), mask, grid, images.shape[1])
        return self.model.target(unpatchify(filled, size, grid))

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        encoder = {f"model.encoder.{name}" for name in self.model.encoder.no_weight_decay()}
        tokens = {"model.decoder.mask_token", "model.encoder_mask_token", "model.decoder.pos_embed"}
        return encoder | {name for name, _ in self.named_parameters() if name in tokens}

    def export_state(self) -> dict[str, Tensor]:
        """Return the model's weights under its own names: what a checkpoint holds."""
        return self.model.state_dict()


class MaskDrawer:
    """Draws the mask of one picture in the loader, so that it belongs to the picture and not to the process.

    Args:
        patch_size: P, in pixels.
        mask_ratio: share hidden, in (0, 1).
        masking: how hidden patches are chosen.
        given: ``(N,)`` bool, 1 = hidden: the mask of every picture, in place of a drawn one.
    """

    def __init__(
        self, patch_size: int, mask_ratio: float, masking: Masking = "random", given: Tensor | None = None
    ) -> None:
        self.patch_size = patch_size
        self.mask_ratio = mask_ratio
        self.masking: Masking = masking
        self.given = given

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return ``mask`` ``(N,)`` for a picture ``(C, H, W)``."""
        if self.given is not None:
            return {"mask": self.given}
        height, width = image.shape[-2:]
        return {"mask": draw_mask(self.masking, grid_of(height, width, self.patch_size), self.mask_ratio)}


def neighbour_mean(target: Tensor, mask: Tensor, grid: tuple[int, int], channels: int) -> Tensor:
    """Guess each patch from the visible ones around it: the yardstick a trained model has to beat.

    Every pixel of a patch gets the mean colour, in the target's scale, of the visible patches among its eight
    neighbours; where none is visible, of all visible patches.

    Args:
        target: ``(B, N, P * P * C)``.
        mask: ``(B, N)`` bool, 1 = hidden.
        grid: ``(h, w)``.
        channels: C.

    Returns:
        ``(B, N, P * P * C)``.
    """
    colour = target.unflatten(-1, (-1, channels)).mean(dim=2)  # (B, N, C)
    guess = visible_neighbours(mask, grid) @ colour
    return guess.repeat(1, 1, target.shape[-1] // channels)


def visible_neighbours(mask: Tensor, grid: tuple[int, int]) -> Tensor:
    """Share out each patch among the visible ones of its eight neighbours; where there are none, among all visible.

    Args:
        mask: ``(B, N)`` bool, 1 = hidden.
        grid: ``(h, w)``.

    Returns:
        ``(B, N, N)`` weights of the patches (last axis) for each patch; they add up to 1.
    """
    y, x = torch.meshgrid(*(torch.arange(n, device=mask.device) for n in grid), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], dim=1)
    near = ((places[:, None] - places[None]).abs().amax(dim=-1) == 1).float()  # (N, N)
    visible = (~mask).float()
    weights = near.unsqueeze(0) * visible.unsqueeze(1)  # (B, N, N)
    lonely = weights.sum(dim=-1, keepdim=True) == 0
    weights = torch.where(lonely, visible.unsqueeze(1), weights)
    return weights / weights.sum(dim=-1, keepdim=True)
