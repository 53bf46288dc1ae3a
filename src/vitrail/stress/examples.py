"""One image at three strengths of every change: what the model is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from vitrail.stress.curves import Curve
from vitrail.stress.grids import Grid
from vitrail.stress.image import StressImage
from vitrail.visualize.draw import HIDDEN, Tile, enlarge, sheet

STRENGTHS = 3
MANY = 8
"""Curves from which on two stand in a row."""
SHOWN_SIDE = 150
"""Longer side of a tile in pixels, or a little more where an image is smaller."""


def three_levels(curve: Curve) -> tuple[float, ...]:
    """Return the weakest strength, one in the middle and the strongest, without the one that changes nothing."""
    levels = [level for level in curve.levels if level != curve.clean]
    return tuple(dict.fromkeys((levels[0], levels[(len(levels) - 1) // 2], levels[-1])))


def draw_family(image: StressImage, curves: Sequence[Curve], grid: tuple[int, int] | None) -> Image.Image:
    """Draw an image under the changes of one family of curves; many of them stand two in a row."""
    return draw_examples(image, curves, grid, 2 if len(curves) > MANY else 1)


def draw_examples(
    image: StressImage, curves: Sequence[Curve], grid: tuple[int, int] | None = None, side_by_side: int = 1
) -> Image.Image:
    """Draw an image under each of some curves, a row for each curve or for several.

    Args:
        image: with its saliency and its partner, where the curves need them.
        curves: the curves.
        grid: rows and columns of the patches, where tokens are removed.
        side_by_side: curves in a row.
    """
    rows: list[list[Tile | None]] = [[Tile(enlarge(to_picture(image.pixels), SHOWN_SIDE, SHOWN_SIDE), "as it is")]]
    for start in range(0, len(curves), side_by_side):
        row: list[Tile | None] = []
        for curve in curves[start : start + side_by_side]:
            tiles = [_tile(image, curve, level, grid) for level in three_levels(curve)]
            row += [*tiles, *[None] * (STRENGTHS - len(tiles))]
        rows.append(row)
    return sheet(rows)


def _tile(image: StressImage, curve: Curve, level: float, grid: tuple[int, int] | None) -> Tile:
    if curve.keep is None:
        pixels = curve.changed(image, level, 0)
    else:
        assert grid is not None
        cells = Grid(*grid).cells(*image.size)
        stays = np.isin(cells, curve.kept(image, level, 0))
        colour = np.array(HIDDEN, dtype=np.uint8)[: len(image.pixels), None, None]
        pixels = np.where(stays, image.pixels, colour)
    is_share = curve.axis.startswith(("share", "strength"))
    shown = f"{100 * level:.0f} %" if is_share else f"{level:g} {_unit(curve)}"
    return Tile(enlarge(to_picture(pixels), SHOWN_SIDE, SHOWN_SIDE), f"{_short(curve)}\n{shown}")


def _short(curve: Curve) -> str:
    """Return a name of two or three words: captions are narrow."""
    kind, _, rest = curve.name.partition("_")
    kind = {"occlusion": "black", "tokens": "removed"}.get(kind, "")
    return " ".join(part for part in (kind, rest.replace("_", " ")) if part) or curve.title


def _unit(curve: Curve) -> str:
    return {"patches in each row and column": "in a row", "factor": "times", "severity": "of 5"}.get(
        curve.axis, curve.axis
    )


def to_picture(pixels: np.ndarray) -> Image.Image:
    """Return uint8 ``(C, H, W)`` as an image."""
    if len(pixels) == 1:
        return Image.fromarray(np.ascontiguousarray(pixels[0]))
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


__all__ = ["draw_examples", "draw_family", "three_levels", "to_picture"]
