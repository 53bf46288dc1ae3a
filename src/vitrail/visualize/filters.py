"""The filters that meet the pixels first, as images."""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.console import percent
from vitrail.explain.filters import PrincipalFilters
from vitrail.visualize.draw import Tile, sheet

SIDE = 80
COLUMNS = 7
SHOWN = 63
"""Filters of a convolution that are drawn at most."""


def draw_principal(found: PrincipalFilters) -> Image.Image:
    """Draw principal components of the patch embedding's filters (ViT, figure 7 left)."""
    tiles = [
        Tile(filter_image(component), percent(float(share)))
        for component, share in zip(found.components, found.shares, strict=True)
    ]
    explained = percent(float(found.shares.sum()))
    note = (
        f"The first {len(tiles)} principal components of the filters that make a token of a patch; below each its "
        f"share of their variance, {explained} together. Grey is 0, and each is brought to full contrast by itself. "
        "Where a model has learned from many photographs they often look like smooth colours and waves."
    )
    return sheet(_rows(tiles), note=note)


def draw_filters(filters: Tensor) -> Image.Image:
    """Draw the filters of a first convolution ``(F, C, P, P)``, the largest first, as far as there is room."""
    values = filters.detach().double().cpu()
    order = values.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:SHOWN]
    tiles = [Tile(filter_image(values[number]), f"{int(number)}") for number in order]
    size = "x".join(map(str, filters.shape[-2:]))
    note = (
        f"{len(tiles)} of the {len(filters)} filters of {size} pixels that meet the image first, those of the largest "
        "norm; below each its number. Grey is 0, and each is brought to full contrast by itself."
    )
    return sheet(_rows(tiles), note=note)


def filter_image(values: Tensor) -> Image.Image:
    """Draw one filter ``(C, P, P)``: the first three channels as colours, or one in grey; grey is 0."""
    shown = values[:3] if len(values) >= 3 else values[:1].expand(3, -1, -1)
    scaled = 0.5 + 0.5 * shown / shown.abs().amax().clamp(min=1e-12)
    pixels = (scaled * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    factor = max(1, SIDE // max(pixels.shape[:2]))
    return Image.fromarray(np.kron(pixels, np.ones((factor, factor, 1), np.uint8)))


def _rows(tiles: list[Tile]) -> list[list[Tile | None]]:
    return [list(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
