"""TIFF files: their strips or tiles are unfolded as a whole, each."""

from __future__ import annotations

import math
import os
from typing import Any, BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from vitrail.data.formats import budget
from vitrail.data.formats.budget import Refused

ROWS_A_STRIP, STRIP_SIZES = 278, (273, 279)
TILE_WIDTH, TILE_HEIGHT, TILE_SIZES = 322, 323, (324, 325)
PHOTOMETRIC, ORIENTATION, SAMPLES, BITS = 262, 274, 277, 258
MOST_PARTS = 200_000
SPEEDS = {"raw": 4e-9, "tiff_lzw": 9e-9, "tiff_adobe_deflate": 8e-9, "tiff_deflate": 8e-9, "lzma": 80e-9}
"""Seconds an unfolded byte takes at most, by compression; `SLOW` for all others."""
SLOW = 15e-9


def read_tiff(file: BinaryIO) -> Image.Image:
    """Decode the first image of a TIFF, which Pillow turns as its orientation says."""
    opened = TiffImageFile(file)
    stored = _length(file)
    _check(opened, stored)
    if opened.tag_v2.get(259) in (6, 7):
        _check_scans(file, opened)
    opened.load()
    return opened


def stored_bits(file: BinaryIO) -> int:
    """Return the bits of a channel that the file stores."""
    bits = TiffImageFile(file).tag_v2.get(BITS, 1)
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _check(opened: TiffImageFile, stored: int) -> None:
    width, height = opened.size
    budget.check_size(width, height)
    budget.check_density(width, height, stored)
    tags = opened.tag_v2
    tile_width, tile_height = (_number(tags, tag, 1) for tag in (TILE_WIDTH, TILE_HEIGHT))
    budget.check_size(tile_width, tile_height)
    pixel = _pixel_bytes(opened)
    unfolded = width * height * pixel
    compression = str(opened.info.get("compression", "raw"))
    held = budget.held(opened)
    for offsets, sizes in (STRIP_SIZES, TILE_SIZES):
        # Uncompressed ones are read by their offsets alone.
        _check_parts(_numbers(tags, offsets), _numbers(tags, sizes) if compression != "raw" else (), stored)
    if compression != "raw":
        rows = min(_number(tags, ROWS_A_STRIP, height), height) if TILE_WIDTH not in tags else 0
        part = max(tile_width * tile_height, width * rows) * max(pixel, 4 if tags.get(PHOTOMETRIC) == 6 else 0)
        held += round(part) + stored
    turned = budget.held(opened) if tags.get(ORIENTATION, 1) != 1 else 0
    budget.check_memory(width, height, held + turned)
    budget.check_time(width, height, SPEEDS.get(compression, SLOW) * unfolded)


def _check_parts(offsets: tuple[int, ...], sizes: tuple[int, ...], stored: int) -> None:
    """Refuse strips or tiles that share their data: each is read anew."""
    if max(len(offsets), len(sizes)) > MOST_PARTS:
        raise Refused(f"it has more than {MOST_PARTS} strips or tiles; save it anew")
    if sum(sizes) > 4 * stored + 2**20:
        raise Refused("its strips or tiles are larger than the file; save it anew")


def _check_scans(file: BinaryIO, opened: TiffImageFile) -> None:
    """Refuse strips or tiles of JPEG data with more scans than such data need."""
    place = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(place)
    parts = max(len(_numbers(opened.tag_v2, tag)) for tag in (STRIP_SIZES[0], TILE_SIZES[0]))
    if scans > 4 * max(1, parts) + 100:
        raise Refused(f"its {scans} scans are more than its {parts} strips or tiles need; save it anew")


def _pixel_bytes(opened: TiffImageFile) -> float:
    bits = _numbers(opened.tag_v2, BITS)
    samples = _number(opened.tag_v2, SAMPLES, max(1, len(bits)))
    return (sum(bits) if len(bits) > 1 else sum(bits or (1,)) * samples) / 8


def _numbers(tags: Any, tag: int) -> tuple[int, ...]:
    values = tags.get(tag, ())
    values = values if isinstance(values, tuple) else (values,)
    return tuple(int(value) for value in values if math.isfinite(value))


def _number(tags: Any, tag: int, default: int) -> int:
    return (_numbers(tags, tag) or (default,))[0]


def _length(file: BinaryIO) -> int:
    place = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(place)
    return length
