"""The numbers in masks: which images hold numbers, which ones occur, and what to do where they fit no class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.errors import DataError, ImageError

SHOWN = 12
"""So many numbers, or colours, are named in a sentence."""
LOSSY = {b"\xff\xd8\xff": "a JPEG", b"RIFF": "a WebP"}
"""The first bytes of files whose compression changes numbers."""
FEWEST_USED = 0.5
"""Without names for them, at least this share of the numbers up to the largest one must occur."""


def numbers_of(image: Image.Image) -> np.ndarray:
    """Return the numbers that an image's pixels are, uint8 ``(H, W)``.

    Grey of 8 bits, indices of a palette, grey of 16 bits below 256, and colours whose channels are all the same, are
    numbers.

    Raises:
        ImageError: its pixels are colours, fractions, or larger numbers.
    """
    values = np.asarray(image)
    if image.mode in ("L", "P", "1"):
        return np.array(values).astype(np.uint8)
    if image.mode.startswith("I"):
        if values.min(initial=0) < 0 or values.max(initial=0) > 255:
            found = f"{values.min()} to {values.max()}"
            raise ImageError("mask", f"its numbers go from {found}; masks have classes from 0 to 254, and 255 for void")
        return values.astype(np.uint8)
    if values.ndim == 3 and values.dtype == np.uint8:
        return _same_in_all_channels(values, image.mode)
    reason = f"its pixels are of mode {image.mode}; a mask has one byte a pixel (mode L or P)"
    raise ImageError("mask", reason)


def check_lossless(file: Path) -> None:
    """Refuse a mask whose compression has changed its numbers, whatever it is called.

    Raises:
        ImageError: it is such a file.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(12)
    except OSError:
        return  # Who opens it says why it cannot be read.
    for magic, what in LOSSY.items():
        if head.startswith(magic) and (magic != b"RIFF" or head[8:] == b"WEBP"):
            reason = f"it is {what}, whose compression changes the numbers of classes; save masks as PNG from the start"
            raise ImageError(file, reason)


def advice(values: Iterable[int], count: int, ignore: int) -> str:
    """Say which numbers occur in masks, and which option or class file fits them.

    Args:
        values: the numbers.
        count: how many classes have names; 0 for none.
        ignore: the number that means void, besides 255.
    """
    found = sorted(set(values))
    said = f"the masks hold the {'value' if len(found) == 1 else 'values'} {listed(found)}"
    classes = [value for value in found if value not in (ignore, 255)]
    if ignore == 0 and classes and max(classes) < count:
        return f"{said}: leave out --dense.ignore 0, if 0 is a class"
    if 255 in found and len(classes) == 1:
        return (
            f"{said}, and 255 always means void: write what shall be learned as {classes[0] + 1}, and give it a line "
            "in classes.txt"
        )
    if len(classes) < 2:
        return f"{said}: to tell classes apart takes two"
    if count and ignore == 255 and max(classes) == count and 0 not in found:
        return f"{said}: --dense.ignore 0 makes 1 the first class"
    if count and ignore == 255 and max(classes) == count:
        return f"{said}: name {count + 1} classes in classes.txt, or, if 0 means void, say --dense.ignore 0"
    if len(classes) <= FEWEST_USED * max(classes):
        return f"{said}: number the classes 0 to {len(classes) - 1}, and name them in classes.txt"
    return f"{said}: name every class in classes.txt, or say which value to --dense.ignore"


def check_gaps(values: Sequence[int], ignore: int) -> None:
    """Refuse to number classes by the largest value where most numbers below it do not occur.

    Raises:
        DataError: most do not.
    """
    classes = [value for value in values if value not in (ignore, 255)]
    if len(classes) < 2 or len(classes) < FEWEST_USED * (max(classes) + 1):
        raise DataError(f"classes cannot be numbered without classes.txt: {advice(values, 0, ignore)}")


def listed(values: Sequence[object]) -> str:
    """List numbers or colours, the first ones of many."""
    shown = ", ".join(map(str, values[:SHOWN]))
    return f"{shown}, ... ({len(values)} in all)" if len(values) > SHOWN else shown


def _same_in_all_channels(values: np.ndarray, mode: str) -> np.ndarray:
    """Return the one channel of colours that are grey; alpha says nothing where it is the same everywhere."""
    with_alpha = mode in ("RGBA", "LA", "PA", "RGBa", "La")
    colours = values[..., :-1] if with_alpha else values
    opaque = not with_alpha or (values[..., -1] == 255).all()
    if opaque and mode[0] in "RLP" and (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0])
    flat = values.reshape(-1, values.shape[-1])
    found = sorted({tuple(colour) for colour in np.unique(flat, axis=0)[: SHOWN + 1].tolist()})
    reason = f"its pixels are colours: {listed(found)}; a mask has the number of a class for each pixel, one byte each"
    raise ImageError("mask", f"{reason}: give each colour its number (a PNG of one byte a pixel)")


__all__ = ["advice", "check_gaps", "check_lossless", "listed", "numbers_of"]
