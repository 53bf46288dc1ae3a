"""Images of the maps that a head gets: what its places have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from vitrail.visualize.draw import Tile, enlarge, sheet

COMPONENTS = 3


NOTE = (
    "Each map in red, green and blue for the three directions its places differ in most: places of one colour look "
    "alike to the head. Grey is the mean of a map; a colour is full where a place differs from it by half of the "
    "features' root mean square length, so that a map whose places hardly differ is grey. Colours of two maps have "
    "nothing to do with each other."
)

FULL = 0.5
"""A colour is full at this share of the features' root mean square length."""


def maps_panel(
    images: Sequence[Image.Image], levels: Sequence[Sequence[Tensor]], strides: Sequence[float]
) -> Image.Image:
    """Draw the maps a head gets, row by row, in colours of their three main directions.

    Args:
        images: of any sizes.
        levels: for each image its maps ``(C_i, h_i, w_i)``, finest first.
        strides: of each map, for the headings.
    """
    rows = []
    for image, maps in zip(images, levels, strict=True):
        tiles: list[Tile | None] = [Tile(enlarge(image))]
        size = enlarge(image).size
        tiles += [Tile(main_directions(level).resize(size, Image.Resampling.NEAREST)) for level in maps]
        rows.append(tiles)
    return sheet(rows, columns=("image", *(f"stride {stride:g}" for stride in strides)), note=NOTE)


def main_directions(features: Tensor) -> Image.Image:
    """Turn a map ``(C, h, w)`` into an image ``(h, w)`` of its first three principal components.

    Red, green and blue are the components, from minus to plus `FULL` times the root mean square length of the features;
    middle grey is their mean.
    """
    _, h, w = features.shape
    places = features.detach().float().cpu().flatten(1).T
    length = places.square().sum(dim=1).mean().sqrt()
    centred = places - places.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)
    values = centred @ directions[:, -COMPONENTS:].flip(-1)
    shown = 0.5 + (values / (2 * FULL * length).clamp(min=1e-12)).clamp(-0.5, 0.5)
    shown = torch.nn.functional.pad(shown, (0, COMPONENTS - shown.shape[1]), value=0.5)
    return Image.fromarray((shown.view(h, w, COMPONENTS) * 255).round().byte().numpy())
