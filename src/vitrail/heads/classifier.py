"""A backbone with a linear head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vitrail.coerce import from_json
from vitrail.errors import ConfigError
from vitrail.models.backbone import Backbone

HeadInit = Literal["small", "zero"]
"""small: nearly even scores at the start; zero: exactly even ones, as ViT is fine-tuned (paper, section 3.2)."""


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of a linear head for a whole image, and how it starts out."""

    num_classes: int
    """K, 1 or more."""
    representation: int = 0
    """Length of a hidden layer with tanh in front of the head, as ViT is pretrained with (paper, section 3.1); 0 for
    none."""
    head_init: HeadInit = "small"

    def __post_init__(self) -> None:
        for name, least in (("num_classes", 1), ("representation", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} must be {least} or more, not {getattr(self, name)}")


def build(backbone: Backbone, options: dict[str, Any]) -> ImageClassifier:
    """Put a linear head on a backbone.

    Args:
        backbone: makes a vector of an image.
        options: fields of `ClassifierConfig`.

    Raises:
        ConfigError: an option is unknown, of another type or out of range.
    """
    return ImageClassifier(backbone, from_json(ClassifierConfig, options))


class ImageClassifier(nn.Module):
    """Backbone, then one linear map from its vector to class scores.

    A backbone that gives two vectors, of its class and its distillation token, gets two maps, ``head`` and
    ``head_dist``, whose scores are averaged (DeiT, Touvron et al. 2021, section 4).

    Args:
        backbone: makes a vector of an image.
        config: the head's shape; `replace_head` takes its hidden layer off.
    """

    def __init__(self, backbone: Backbone, config: ClassifierConfig) -> None:
        super().__init__()
        self.backbone = backbone
        representation = config.representation
        self.pre_logits = nn.Linear(backbone.width, representation) if representation else None
        if self.pre_logits is not None:
            nn.init.xavier_uniform_(self.pre_logits.weight)
            nn.init.zeros_(self.pre_logits.bias)
        self.head = new_head(representation or backbone.width, config.num_classes, config.head_init)
        self.head_dist = self._second_head(config.num_classes, config.head_init)

    def _second_head(self, num_classes: int, head_init: HeadInit) -> nn.Linear | None:
        """Make the head of a distillation token; None where the backbone has none."""
        if self.backbone.head_inputs == 1:
            return None
        if self.pre_logits is not None:
            raise ConfigError("a backbone with a distillation token has no representation layer; use representation 0")
        return new_head(self.backbone.width, num_classes, head_init)

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.backbone.depth

    def forward(self, images: Tensor) -> Tensor:
        """Score images ``(B, C, H, W)``: logits ``(B, num_classes)``."""
        return self.score(self.backbone.head_input(images))

    def score(self, features: Tensor) -> Tensor:
        """Score what the backbone's `head_input` gives, ``(B, D)`` or ``(B, 2, D)``: logits ``(B, num_classes)``."""
        if self.head_dist is not None:
            return (self.head(features[:, 0]) + self.head_dist(features[:, 1])) / 2
        if self.pre_logits is not None:
            features = torch.tanh(self.pre_logits(features))
        return self.head(features)

    def replace_head(self, num_classes: int, head_init: HeadInit = "zero") -> None:
        """Put a new head for other classes in the place of the whole old one, as ViT's fine-tuning does."""
        device, dtype = self.head.weight.device, self.head.weight.dtype
        self.pre_logits = None
        self.head = new_head(self.backbone.width, num_classes, head_init).to(device, dtype)
        second = self._second_head(num_classes, head_init)
        self.head_dist = None if second is None else second.to(device, dtype)

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to; the head stands above all others."""
        if name.startswith("backbone."):
            return self.backbone.layer_of(name.removeprefix("backbone."))
        return self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {f"backbone.{name}" for name in self.backbone.no_weight_decay()}


def new_head(width: int, num_classes: int, init: HeadInit) -> nn.Linear:
    """Make a linear map from ``(B, width)`` to ``(B, num_classes)``."""
    head = nn.Linear(width, num_classes)
    nn.init.zeros_(head.bias)
    if init == "zero":
        nn.init.zeros_(head.weight)
    else:
        # Small, so that training starts from nearly even scores whatever the backbone says.
        nn.init.trunc_normal_(head.weight, std=0.01)
    return head
