"""Masks as run lengths and polygons, as COCO's annotations hold them.

A mask is read column by column; its run lengths alternate between outside and inside, beginning with outside. They are
a list, or packed into text: each number (from the third on less the one two before) in groups of five bits, lowest
first, with a bit that says whether more follow, as characters from "0" on.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from vitrail.data.polygons import check_polygons, fill, is_outside
from vitrail.errors import DataError

MOST_LETTERS = 10_000_000
"""Of one mask: some three million runs."""
LONGEST_NUMBER = 12
"""A packed run length has at most so many letters: 60 bits."""
FEW_LETTERS = 256
"""Up to so many letters are read one by one, which is faster than starting numpy."""


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
    """Read run lengths from text, the inverse of `pack`.

    Raises:
        DataError: a number has more letters than any mask needs.
    """
    if len(text) > MOST_LETTERS:
        raise _too_long()
    if len(text) > FEW_LETTERS:
        return _unpack_many(text)
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        value |= (group & 31) << shift
        shift += 5
        if shift > 5 * LONGEST_NUMBER:
            raise _too_long()
        if not group & 32:
            value -= (1 << shift) if group & 16 else 0
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


def _unpack_many(text: str) -> list[int]:
    """Do the same for all letters at once."""
    groups = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64) - 48
    ends = np.flatnonzero((groups & 32) == 0)
    if not len(ends):
        return []
    groups = groups[: ends[-1] + 1]
    begins = np.concatenate([[0], ends[:-1] + 1])
    if (ends - begins).max() >= LONGEST_NUMBER:
        raise _too_long()
    places = np.arange(len(groups)) - np.repeat(begins, ends - begins + 1)
    values = np.add.reduceat((groups & 31) << (5 * places), begins)
    values -= np.where(groups[ends] & 16, np.left_shift(1, 5 * (ends - begins + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values.tolist()


def _too_long() -> DataError:
    return DataError("the 'counts' of run lengths are text that no mask is packed into")


def decode(segmentation: Any, height: int, width: int) -> np.ndarray:
    """Turn polygons or run lengths, packed or not, into a mask of bools ``(H, W)``.

    Args:
        segmentation: a list of polygons ``[x, y, x, y, ...]`` in pixels, or ``{"size": [H, W], "counts": ...}``.
        height: of the image.
        width: of the image.

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
        DataError: it is no mask of an image of this height and width.
    """
    if isinstance(segmentation, list):
        check_polygons(segmentation, height, width)
    else:
        _counts(segmentation, height, width)


def has_pixels(segmentation: Any, height: int, width: int, draw: bool = True) -> bool:
    """Whether a mask has a pixel; of polygons within the image that is taken for granted unless they are drawn.

    Raises:
        DataError: it is no mask of an image of this height and width.
    """
    if not isinstance(segmentation, list):
        return any(_counts(segmentation, height, width)[1::2])
    check_polygons(segmentation, height, width)
    if not segmentation or is_outside(segmentation, height, width):
        return False
    return not draw or bool(fill(segmentation, height, width).any())


def _counts(segmentation: Any, height: int, width: int) -> list[int]:
    """Return the run lengths of a mask that has them, packed or not."""
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise DataError("a segmentation is a list of polygons, or run lengths with 'size' and 'counts'")
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise DataError(f"the 'size' of run lengths is a height and a width, not {reprlib.repr(size)}")
    if list(size) != [height, width]:
        said = " x ".join(reprlib.repr(side) for side in reversed(size))
        raise DataError(f"run lengths are for {said} pixels, the image has {width} x {height}")
    counts = counts.decode("ascii", "replace") if isinstance(counts, bytes) else counts
    if isinstance(counts, str | list) and len(counts) > LONGEST_NUMBER * (height * width + 1):
        pixels = f"{height * width:,} pixels"
        raise DataError(f"run lengths are {len(counts):,} numbers or letters, the image has {pixels}")
    counts = unpack(counts) if isinstance(counts, str) else counts
    if not isinstance(counts, list) or not all(isinstance(count, int) for count in counts):
        raise DataError("the 'counts' of run lengths are a list of whole numbers, or such a list packed into text")
    if min(counts, default=0) < 0:
        raise DataError(f"a run length is below 0 ({reprlib.repr(min(counts))})")
    if sum(counts) != height * width:
        total = f"{sum(counts):,}" if sum(counts) < 10**18 else "more than 10^18"
        raise DataError(f"run lengths add up to {total} pixels, the image has {height * width:,}")
    return counts


__all__ = ["check", "decode", "encode", "fill", "has_pixels", "pack", "run_lengths", "unpack"]
