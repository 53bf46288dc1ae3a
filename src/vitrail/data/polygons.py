"""Masks as polygons, as COCO's annotations hold them: what is one, and which pixels it covers.

A polygon of fewer than three corners covers nothing: beside others it is passed over, alone it is no mask. One that no
object can have (a million corners, or an outline that crosses the image thousands of times) is refused, since drawing
it would take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vitrail.errors import DataError

FINER = 4
"""Polygons are filled on a grid so many times finer, and a pixel is inside where half of it is."""

FARTHEST = 1e6
"""Corners so many pixels from an image's corner are no annotations of it."""
MOST_CORNERS = 100_000
"""Of one object."""
MOST_CROSSINGS = 100
"""An outline may be so many times as long as the image is high and wide, or have `SHORT_OUTLINE` pixels."""
SHORT_OUTLINE = 200_000
MOST_CELLS = 64_000_000
"""So many cells of the finer grid are filled at once, a byte each."""

RULE = "a polygon needs an x and a y for each of three or more corners"

Polygons = Sequence[Sequence[float]]


def check_polygons(polygons: Any, height: int, width: int) -> None:
    """Refuse what `fill` would refuse, without drawing.

    Raises:
        DataError: there is no polygon of three or more corners, a value is no finite number, or an outline is longer
            than an object's can be.
    """
    corners = 0
    length = 0.0
    whole = not polygons
    for polygon in polygons:
        if not isinstance(polygon, list | tuple) or len(polygon) % 2:
            raise DataError(RULE)
        if not polygon:
            continue
        try:
            finite, low, high = math.isfinite(sum(polygon)), min(polygon), max(polygon)
        except (TypeError, ValueError, OverflowError):
            raise DataError(RULE) from None
        if not finite:
            raise DataError(RULE)
        if low < -FARTHEST or high > FARTHEST:
            raise DataError(f"a polygon has a corner at {low if low < -FARTHEST else high:g}, far outside the image")
        corners += len(polygon) // 2
        whole |= len(polygon) >= 6
        length += len(polygon) * (high - low)
    if not whole:
        raise DataError(RULE)
    if corners > MOST_CORNERS:
        raise DataError(f"polygons of {corners:,} corners are no outline of an object; store its mask as run lengths")
    longest = max(SHORT_OUTLINE, MOST_CROSSINGS * (height + width))
    if length > longest and sum(map(_length, _corners(polygons))) > longest:
        raise DataError(
            f"polygons whose outline is longer than {longest:,} pixels are no outline of an object on "
            f"{width} x {height} pixels; store its mask as run lengths"
        )


def is_degenerate(polygons: Any) -> bool:
    """Whether something is a list of polygons with fewer than three corners each, and of nothing else."""
    return (
        isinstance(polygons, list)
        and bool(polygons)
        and all(isinstance(one, list) and len(one) in (0, 2, 4) and all(map(_is_number, one)) for one in polygons)
    )


def cells_to_draw(polygons: Polygons, height: int, width: int) -> int:
    """Return how many cells `fill` draws, or 0 where it is plain without drawing that a pixel is inside or none is.

    Pixels that are less than half inside lie along the outline. So polygons with an area of more than twice the
    outline's length hold a whole pixel, if they lie within the image.

    Raises:
        DataError: they are none.
    """
    check_polygons(polygons, height, width)
    corners = _corners(polygons)
    left, top, right, bottom = _extent(corners, height, width)
    every = np.concatenate(corners)
    inside = every.min() >= 0 and (every <= (width, height)).all()
    if inside and any(_area(one) > 2 * _length(one) + 4 for one in corners):
        return 0
    return FINER**2 * max(0, right - left) * max(0, bottom - top)


def is_outside(polygons: Polygons, height: int, width: int) -> bool:
    """Whether no polygon reaches into the image."""
    for polygon in polygons:
        if len(polygon) >= 6:
            across, down = polygon[0::2], polygon[1::2]
            if max(across) > 0 and max(down) > 0 and min(across) < width and min(down) < height:
                return False
    return True


def fill(polygons: Polygons, height: int, width: int) -> np.ndarray:
    """Fill polygons, in pixels from the image's upper left corner: a mask of bools ``(H, W)``.

    Raises:
        DataError: they are none, as for `check_polygons`.
    """
    check_polygons(polygons, height, width)
    mask = np.zeros((height, width), dtype=bool)
    corners = _corners(polygons)
    if not corners:
        return mask
    left, top, right, bottom = _extent(corners, height, width)
    if right <= left or bottom <= top:
        return mask
    rows = max(1, MOST_CELLS // (FINER**2 * (right - left)))
    for upper in range(top, bottom, rows):
        lower = min(bottom, upper + rows)
        mask[upper:lower, left:right] = _drawn(corners, left, top, upper, right - left, lower - upper)
    return mask


def _drawn(corners: list[np.ndarray], left: int, top: int, upper: int, wide: int, tall: int) -> np.ndarray:
    """Draw a strip, from row ``upper`` on, of polygons that extend from ``left`` and ``top``: bools (tall, wide)."""
    canvas = Image.new("L", (FINER * wide, FINER * tall))
    pen = ImageDraw.Draw(canvas)
    for polygon in corners:
        # Pillow counts from the middle of a pixel, and takes whole numbers: the same ones in every strip.
        points = np.trunc(FINER * (polygon - (left, top)) - 0.5) - (0, FINER * (upper - top))
        pen.polygon([tuple(point) for point in points.tolist()], fill=1)
    parts = np.asarray(canvas).reshape(tall, FINER, wide, FINER)
    return parts.mean(axis=(1, 3)) >= 0.5


def _corners(polygons: Polygons) -> list[np.ndarray]:
    """Return the corners ``(n, 2)`` of each polygon that has an inside."""
    return [np.asarray(one, dtype=np.float64).reshape(-1, 2) for one in polygons if len(one) >= 6]


def _extent(corners: list[np.ndarray], height: int, width: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the pixels that polygons touch."""
    every = np.concatenate(corners)
    left, top = np.clip(np.floor(every.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(every.max(axis=0)), 0, (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _length(corners: np.ndarray) -> float:
    """Return the length of an outline, along rows and columns."""
    return float(np.abs(np.diff(corners, axis=0, append=corners[:1])).sum())


def _area(corners: np.ndarray) -> float:
    """Return the area within an outline that does not cross itself."""
    x, y = corners.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and -FARTHEST <= value <= FARTHEST


__all__ = ["cells_to_draw", "check_polygons", "fill", "is_degenerate", "is_outside"]
