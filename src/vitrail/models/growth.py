"""How the cost of attention grows with the image: Swin's formulas, and what is counted (Swin, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vitrail.layers.attention import Attention
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.backbone import Backbone
from vitrail.models.cost import cost, multiply_accumulates
from vitrail.models.registry import build_backbone


def msa(places: int, width: int) -> int:
    """Multiply-accumulates of attention among all tokens, ``4 h w C^2 + 2 (h w)^2 C`` (equation 1)."""
    return 4 * places * width**2 + 2 * places**2 * width


def window_msa(places: int, width: int, area: int) -> int:
    """Multiply-accumulates of attention inside windows, ``4 h w C^2 + 2 M^2 h w C`` (equation 2)."""
    return 4 * places * width**2 + 2 * area * places * width


@dataclass(frozen=True)
class Growth:
    """What one image of one size costs, in multiply-accumulates.

    Attributes:
        image_size: side of the image, in pixels.
        msa: of all attention layers by equation 1, if every token attended to all.
        window_msa: by equation 2; None for a model without windows.
        counted: of the attention layers as they are, padding and class token included.
        total: of the whole backbone.
    """

    image_size: int
    msa: int
    window_msa: int | None
    counted: int
    total: int


def growth(name: str, image_sizes: Sequence[int]) -> list[Growth]:
    """Count a Swin or ViT for several image sizes, without computing anything.

    Args:
        name: a backbone with attention, as in `vitrail.list_models`.
        image_sizes: sides of the images, in pixels.
    """
    with shapes_only():
        backbone = build_backbone(name, {})
    rows = []
    for size in image_sizes:
        layers = _layers(backbone, size)
        image = torch.empty(1, backbone.config.channels, size, size, device="meta")
        rows.append(
            Growth(
                size,
                sum(msa(places, width) for places, width, _ in layers),
                sum(window_msa(*layer) for layer in layers) if backbone.has_windows else None,
                multiply_accumulates(backbone, image, within=Attention),
                cost(backbone, size).multiply_accumulates,
            )
        )
    return rows


def _layers(backbone: Backbone, size: int) -> list[tuple[int, int, int]]:
    """Return number of tokens and width of each attention layer, and how many tokens a token attends to."""
    stages = backbone.windows(size, size)
    if not stages:
        h, w = backbone.token_grid(size, size) or (0, 0)
        return [(h * w, backbone.width, h * w)] * len(backbone.attention_layers())
    return [
        (partition.h * partition.w, width, partition.area)
        for stage, width in zip(stages, backbone.channels, strict=True)
        for partition in stage
    ]
