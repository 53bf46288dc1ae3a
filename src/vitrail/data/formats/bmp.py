"""BMP files; those with run lengths are decoded slowly, and only small ones."""

from __future__ import annotations

import os
from typing import BinaryIO

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from vitrail.data.formats import budget
from vitrail.data.formats.budget import Refused

MOST_RUN_LENGTH_PIXELS = 4_000_000
MOST_RUN_LENGTH_BYTES = 1_000_000
SPEED = 10e-9
"""Seconds a pixel takes at most."""


def read_bmp(file: BinaryIO) -> Image.Image:
    """Decode a BMP."""
    opened = BmpImageFile(file)
    width, height = opened.size
    stored = file.seek(0, os.SEEK_END)
    budget.check_size(width, height)
    budget.check_density(width, height, stored)
    large = width * height > MOST_RUN_LENGTH_PIXELS or stored > MOST_RUN_LENGTH_BYTES
    if large and opened.info.get("compression") in (1, 2):  # Run lengths of bytes, and of half bytes.
        raise Refused("it is too large for a BMP with run lengths; save it as PNG")
    budget.check_memory(width, height, budget.held(opened))
    budget.check_time(width, height, SPEED * width * height)
    opened.load()
    return opened
