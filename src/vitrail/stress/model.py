"""A classifier as it is put under stress: pixels, or fewer tokens, to scores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from vitrail.models.backbone import Backbone
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.training.measure import to_device


@dataclass(frozen=True)
class StressedModel:
    """One of the models that are compared.

    Attributes:
        name: what charts call it.
        predictor: the model as a function of images.
    """

    name: str
    predictor: ClassPredictor

    @property
    def backbone(self) -> Backbone:
        """The model without its head."""
        return self.predictor.model.backbone

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its input, in pixels."""
        return self.predictor.description.preprocessing.image_size

    @property
    def channels(self) -> int:
        """3 for colour, 1 for grey."""
        return self.predictor.description.preprocessing.channels

    @property
    def token_grid(self) -> tuple[int, int] | None:
        """Rows and columns of its patches, where some can be removed; else None."""
        return self.backbone.token_grid(*self.size) if self.backbone.can_leave_patches_out else None

    def logits(self, pixels: np.ndarray) -> Tensor:
        """Score images, uint8 ``(B, C, H, W)``: ``(B, K)`` float32 on the CPU."""
        return self.predictor.logits({"image": torch.from_numpy(pixels)})

    def logits_of_kept(self, pixels: np.ndarray, kept: np.ndarray) -> Tensor:
        """Score images of which only some patches are there.

        Args:
            pixels: uint8 ``(B, C, H, W)``.
            kept: int64 ``(B, V)``, the patches that stay; the others are taken out of the sequence.

        Returns:
            ``(B, K)`` float32 on the CPU.
        """
        images, visible = torch.from_numpy(pixels), torch.from_numpy(kept)[:, None]
        device = self.predictor.runtime.device
        with self.predictor.computing():
            normalised = self.predictor.module.normalise(to_device({"image": images}, device)["image"])
            features = self.backbone.head_input_visible(normalised, visible.to(device))[:, 0]
            return self.predictor.model.score(features).float().cpu()

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits that stand for its weights and how it is fed."""
        return digest_of(self.predictor.model, repr(self.predictor.description.preprocessing))


def digest_of(model: nn.Module, about: str = "") -> str:
    """Return 32 hexadecimal digits that stand for all weights of a model, and for a text about it."""
    found = hashlib.blake2b(about.encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


__all__ = ["StressedModel", "digest_of"]
