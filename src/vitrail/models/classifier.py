"""A backbone with a linear head."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """Backbone, then one linear map from its vector to class scores.

    Args:
        backbone: any module with ``embed``, ``width``, ``depth``, ``layer_of`` and ``no_weight_decay``.
        num_classes: number of classes.
    """

    def __init__(self, backbone: Any, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.width, num_classes)
        # Small, so that training starts from nearly even scores whatever the backbone says.
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.backbone.depth

    def forward(self, images: Tensor) -> Tensor:
        """Score pictures ``(B, C, H, W)``: logits ``(B, num_classes)``."""
        return self.head(self.backbone.embed(images))

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to; the head stands above all others."""
        if name.startswith("backbone."):
            return self.backbone.layer_of(name.removeprefix("backbone."))
        return self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {f"backbone.{name}" for name in self.backbone.no_weight_decay()}

