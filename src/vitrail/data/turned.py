"""How a file's EXIF data turns its image: annotations and masks must be made of the image as it is shown."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image
from PIL.ExifTags import Base as ExifTag

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations (2.3, section 4.6.4) under which height and width change places."""


def orientation(file: Path) -> int:
    """Return a file's EXIF orientation, 1 (upright) to 8; 1 where it has none or cannot be read."""
    return _header(file)[1]


def shown_size(file: Path) -> tuple[int, int] | None:
    """Return width and height of an image as it is shown, from its header; None where that cannot be read."""
    return _header(file)[0]


def about_turning(file: Path | None, size: tuple[int, int], other: tuple[int, int]) -> str:
    """Say, as a half sentence, that EXIF data is why two sizes differ; "" where it is not."""
    if file is None or size != (other[1], other[0]):
        return ""
    turned = orientation(file)
    if turned not in SIDEWAYS:
        return ""
    return f" (the file is stored sideways, EXIF orientation {turned}, and was annotated without turning it)"


def _header(file: Path) -> tuple[tuple[int, int] | None, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of large images, which are refused where they are opened.
            with Image.open(file, formats=FORMATS) as image:
                turned = image.getexif().get(ExifTag.Orientation, 1)
                width, height = image.size
    except Exception:  # Pillow raises nearly everything on damaged headers; who opens the image names it.
        return None, 1
    turned = turned if turned in range(1, 9) else 1
    return ((height, width) if turned in SIDEWAYS else (width, height)), turned


__all__ = ["about_turning", "orientation", "shown_size"]
