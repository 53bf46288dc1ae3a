"""Masks as run lengths and polygons, as COCO's annotations hold them.

A mask is read column by column; its run lengths alternate between outside and inside, beginning with outside. They are
a list, or packed into text: each number (from the third on less the one two before) in groups of five bits, lowest
first, with a bit that says whether more follow, as characters from "0" on.
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


def encode(mask: np.ndarray) -> dict[str, Any]:
    """Turn a mask ``(H, W)`` of bools into packed run lengths: ``{"size": [H, W], "counts": text}``."""
    return {"size": [int(side) for side in mask.shape], "counts": pack(run_lengths(mask))}


def run_lengths(mask: np.ndarray) -> list[int]:
    """Return the run lengths of a mask ``(H, W)``, the first outside (0 where the first pixel is inside)."""
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *counts] if flat.size and flat[0] else counts


def pack(counts: Sequence[int]) -> str:
    """Write run lengths as text."""
    letters = []
    for place, count in enumerate(counts):
        value = count - (counts[place - 2] if place > 2 else 0)
        while True:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            letters.append(chr(48 + group + 32 * more))
            if not more:
                break
    return "".join(letters)


def unpack(text: str) -> list[int]:
    """Read run lengths from text, the inverse of `pack`."""
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            value -= (1 << shift) if group & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def decode(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Turn polygons or run lengths, packed or not, into a mask of bools ``(H, W)``.

    Args:
        segmentation: a list of polygons ``[x, y, x, y, ...]`` in pixels, or ``{"size": [H, W], "counts": ...}``.
        height: of the picture.
        width: of the picture.

    Raises:
        DataError: it is none of these, or of another size.
    """
    if isinstance(segmentation, list):
        return fill(segmentation, height, width)
    counts = _counts(segmentation, height, width)
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


def check(segmentation: Any, height: int, width: int) -> None:
    """Refuse what `decode` would refuse, without drawing the mask.

    Raises:
        DataError: it is no mask of a picture of this height and width.
    """
    if isinstance(segmentation, list):
        _check_polygons(segmentation)
    else:
        _counts(segmentation, height, width)


def _counts(segmentation: Any, height: int, width: int) -> list[int]:
    """Return the run lengths of a mask that has them, packed or not."""
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise DataError("a segmentation is a list of polygons, or run lengths with 'size' and 'counts'")
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise DataError(f"the 'size' of run lengths is a height and a width, not {size!r}")
    if list(size) != [height, width]:
        raise DataError(f"run lengths are for {size[1]} x {size[0]} pixels, the picture has {width} x {height}")
    counts = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
    counts = unpack(counts) if isinstance(counts, str) else counts
    if not isinstance(counts, list) or not all(isinstance(count, int) for count in counts):
        raise DataError("the 'counts' of run lengths are a list of whole numbers, or such a list packed into text")
    if min(counts, default=0) < 0 or sum(counts) != height * width:
        raise DataError(f"run lengths add up to {sum(counts):,} pixels, the picture has {height * width:,}")
    return counts


def _check_polygons(polygons: Any) -> None:
    whole = all(
        isinstance(polygon, list | tuple) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons
    )
    if not whole or not all(isinstance(n, int | float) and math.isfinite(n) for polygon in polygons for n in polygon):
        raise DataError("a polygon needs an x and a y for each of three or more corners")


def fill(polygons: Sequence[Sequence[float]], height: int, width: int) -> np.ndarray:
    """Fill polygons, in pixels from the picture's upper left corner: a mask of bools ``(H, W)``.

    Raises:
        DataError: a polygon has fewer than three corners.
    """
    _check_polygons(polygons)
    corners = [np.asarray(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
    if not corners:
        return np.zeros((height, width), dtype=bool)
    every = np.concatenate(corners)
    left, top = np.clip(np.floor(every.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(every.max(axis=0)), 0, (width, height)).astype(int)
    mask = np.zeros((height, width), dtype=bool)
    if right <= left or bottom <= top:
        return mask
    canvas = Image.new("L", (FINER * (right - left), FINER * (bottom - top)))
    pen = ImageDraw.Draw(canvas)
    for polygon in corners:
        # Pillow counts from the middle of a pixel.
        pen.polygon([tuple(point) for point in FINER * (polygon - (left, top)) - 0.5], fill=1)
    parts = np.asarray(canvas).reshape(bottom - top, FINER, right - left, FINER)
    mask[top:bottom, left:right] = parts.mean(axis=(1, 3)) >= 0.5
    return mask


__all__ = ["check", "decode", "encode", "fill", "pack", "run_lengths", "unpack"]
