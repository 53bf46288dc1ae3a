"""Parts of an image by name, in cells: its background, a quadrant, its border."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.cells import Cells, fit_map
from vitrail.explain.patch_tokens import patch_tokens, token_colours

FINE = 16
"""Cells along the shorter side of an image in which regions are hidden: a sixteenth of it each."""

BORDER = 1 / 8
"""Of the height and of the width that the border takes on each side."""

PLACES = (
    "top-left",
    "top-right",
    "bottom-left",
    "bottom-right",
    "top",
    "bottom",
    "left",
    "right",
    "middle",
    "border",
)
"""Regions that lie at the same place of every image: quadrants, halves, the middle half both ways, and the border."""

FOUND = ("background", "foreground")
"""Regions that are found in each image by the model's own patch tokens."""

REGIONS = (*FOUND, *PLACES)


def fine_cells(height: int, width: int, side: int | None = None) -> Cells:
    """Return the cells in which regions of images of this size are hidden: `FINE` along the shorter side.

    Args:
        height, width: of the images, in pixels.
        side: of a cell in pixels, where it is not to be chosen.

    Raises:
        ConfigError: the side does not fit the image.
    """
    return Cells(height, width, side or max(1, min(height, width) // FINE))


def place(name: str, cells: Cells) -> Tensor:
    """Return the cells of a region of `PLACES`, ``(N,)`` bool; a cell belongs where its middle lies."""
    y = (torch.arange(cells.grid[0]) + 0.5) * cells.side / cells.height
    x = (torch.arange(cells.grid[1]) + 0.5) * cells.side / cells.width
    rows, columns = torch.ones_like(y, dtype=torch.bool), torch.ones_like(x, dtype=torch.bool)
    if name in ("middle", "border"):
        reach = 0.25 if name == "middle" else 0.5 - BORDER
        within = ((y - 0.5).abs() < reach)[:, None] & ((x - 0.5).abs() < reach)[None]
        return (within if name == "middle" else ~within).flatten()
    for part in name.split("-"):
        if part in ("top", "bottom"):
            rows = (y < 0.5) == (part == "top")
        else:
            columns = (x < 0.5) == (part == "left")
    return (rows[:, None] & columns[None]).flatten()


def foreground(model: nn.Module, images: Tensor, cells: Cells) -> Tensor:
    """Return the cells ``(B, N)`` bool that the model's patch tokens part from the background.

    The first principal component of the tokens of all the images, as `vitrail.explain.patch_tokens.token_colours` has
    it: which side is the background is a guess, by which of them the borders of the images belong to.

    Args:
        model: a classifier or an encoder.
        images: ``(B, C, H, W)``, normalised.
        cells: in which the answer is given.

    Raises:
        ConfigError: the images have too few places for a component.
    """
    found = token_colours(patch_tokens(model, images)).foreground
    return (fit_map(found.float(), cells.grid) > 0.5).flatten(1)


def region(name: str, model: nn.Module, images: Tensor, cells: Cells) -> Tensor:
    """Return the cells of a region of `REGIONS` in each image, ``(B, N)`` bool.

    Raises:
        ConfigError: there is no such region, or an image has nothing or nothing else in it.
    """
    if name in PLACES:
        return place(name, cells).expand(len(images), -1)
    if name not in FOUND:
        raise ConfigError(f"there is no region {name!r}; choose one of {', '.join(REGIONS)}")
    front = foreground(model, images, cells)
    return front if name == "foreground" else ~front


__all__ = ["FINE", "FOUND", "PLACES", "REGIONS", "fine_cells", "foreground", "place", "region"]
