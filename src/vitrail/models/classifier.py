"""A backbone with a linear head."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.models.backbone import Backbone

HeadInit = Literal["small", "zero"]
"""small: nearly even scores at the start; zero: exactly even ones, as ViT is fine-tuned (paper, section 3.2)."""


class ImageClassifier(nn.Module):
    """Backbone, then one linear map from its vector to class scores.

    A backbone that gives two vectors, of its class and its distillation token, gets two maps, ``head`` and
    ``head_dist``, whose scores are averaged (DeiT, Touvron et al. 2021, section 4).

    Args:
        backbone: makes a vector of an image.
        num_classes: number of classes.
        representation: length of a hidden layer with tanh in front of the head, as ViT is pretrained with
            (paper, section 3.1); 0 for none. It belongs to the head: `replace_head` takes it off.
        head_init: how the head starts out.
    """

    def __init__(
        self, backbone: Backbone, num_classes: int, representation: int = 0, head_init: HeadInit = "small"
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pre_logits = nn.Linear(backbone.width, representation) if representation else None
        if self.pre_logits is not None:
            nn.init.xavier_uniform_(self.pre_logits.weight)
            nn.init.zeros_(self.pre_logits.bias)
        self.head = new_head(representation or backbone.width, num_classes, head_init)
        self.head_dist = self._second_head(num_classes, head_init)

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


class Layered(Protocol):
    """A model whose parameters belong to layers: a backbone, or one with a head."""

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to, from 0 for the embeddings upwards."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Give every parameter with its name."""
        ...


def freeze(model: Layered, layers: int) -> list[str]:
    """Stop the lowest layers of a model from learning.

    Args:
        model: an `ImageClassifier` or a backbone.
        layers: how many, from below: 1 is the embeddings alone, ``depth + 1`` everything up to the last block;
            one more takes the final norm and the head as well. 0 freezes nothing.

    Returns:
        The names of the parameters that were frozen.
    """
    frozen = {name: tensor for name, tensor in model.named_parameters() if model.layer_of(name) < layers}
    for parameter in frozen.values():
        parameter.requires_grad_(False)
    return list(frozen)
