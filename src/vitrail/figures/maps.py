"""Pictures of the maps that a head gets: what its places have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from vitrail.figures.draw import Tile, enlarge, sheet

COMPONENTS = 3


def maps_panel(
    pictures: Sequence[Image.Image], levels: Sequence[Sequence[Tensor]], strides: Sequence[float]
) -> Image.Image:
    """Draw the maps a head gets, row by row, in colours of their three main directions.

    Args:
        pictures: of any sizes.
        levels: for each picture its maps ``(C_i, h_i, w_i)``, finest first.
        strides: of each map, for the headings.
    """
    rows = []
    for picture, maps in zip(pictures, levels, strict=True):
        tiles: list[Tile | None] = [Tile(enlarge(picture))]
        size = enlarge(picture).size
        tiles += [Tile(main_directions(level).resize(size, Image.Resampling.NEAREST)) for level in maps]
        rows.append(tiles)
    note = (
        "Each map in red, green and blue for the three directions its places differ in most: places of one colour look "
        "alike to the head. Colours of two maps have nothing to do with each other."
    )
    return sheet(rows, columns=("picture", *(f"stride {stride:g}" for stride in strides)), note=note)


def main_directions(features: Tensor) -> Image.Image:
    """Turn a map ``(C, h, w)`` into a picture of its first three principal components, each from its 2 % to 98 %."""
    _, h, w = features.shape
    places = features.detach().float().cpu().flatten(1).T
    places = places - places.mean(dim=0)
    _, directions = torch.linalg.eigh(places.T @ places)
    values = places @ directions[:, -COMPONENTS:].flip(-1)
    low, high = (torch.quantile(values, share, dim=0) for share in (0.02, 0.98))
    shown = ((values - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    shown = torch.nn.functional.pad(shown, (0, COMPONENTS - shown.shape[1]))
    return Image.fromarray((shown.view(h, w, COMPONENTS) * 255).round().byte().numpy())
