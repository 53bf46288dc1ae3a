"""AVIF files, as far as Pillow's decoder is built in; what the stream claims is checked, not only the container."""

from __future__ import annotations

import io

from PIL import Image

from vitrail.data.formats import budget, isobmff
from vitrail.data.formats.budget import Refused
from vitrail.data.formats.exif import orientation

MEMORY, SPEED = 17.0, 80e-9
"""Bytes and seconds a pixel takes at most."""
BRANDS = {b"avif", b"avis"}
MOST_UNITS = 10_000
_SEQUENCE = 1


def read_avif(data: bytes) -> tuple[Image.Image, int]:
    """Decode an AVIF, of a moving one the first frame; return it and how it has to be turned."""
    try:
        from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile
    except ImportError:
        SUPPORTED, AvifImageFile = False, None
    if not SUPPORTED or AvifImageFile is None:
        raise Refused("an AVIF image, which this Pillow cannot open; update Pillow, or convert it to JPEG or PNG")
    found = isobmff.boxes(data)
    streams = [size for item in isobmff.items(data, found) for size in _stream_sizes(item)]
    for width, height in isobmff.sizes(data, found) + streams:
        _check(width, height, len(data))
    opened = AvifImageFile(io.BytesIO(data))
    _check(*opened.size, len(data))
    opened.load()
    turn = orientation(opened.info.get("exif"), opened.info.get("xmp"))
    opened._decoder = opened.fp = None  # type: ignore[assignment]  # It still holds what it decoded.
    return opened, turn


def _check(width: int, height: int, stored: int) -> None:
    budget.check_size(width, height)
    budget.check_density(width, height, stored)
    budget.check_memory(width, height, MEMORY * width * height + 2 * stored)
    budget.check_time(width, height, SPEED * width * height)


def _stream_sizes(item: bytes) -> list[tuple[int, int]]:
    """Return the largest frames that AV1 data announce (AV1 specification, sections 5.3 to 5.5)."""
    place, sizes = 0, []
    for _ in range(MOST_UNITS):
        if place >= len(item):
            break
        header, place = item[place], place + 1
        if header & 0x80:
            break  # No unit of AV1: another kind of item.
        place += bool(header & 4)
        size = len(item) - place
        if header & 2:
            size, place = _leb128(item, place)
        if header >> 3 & 15 == _SEQUENCE:
            sizes.append(_largest_frame(item[place : place + min(size, 64)]))
        place += size
    return sizes


def _leb128(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = data[place] if place < len(data) else 0
        place += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
    return value, place


class _Bits:
    """Bits of a sequence header, highest first; zeros behind its end."""

    def __init__(self, data: bytes) -> None:
        self._text = "".join(f"{byte:08b}" for byte in data)
        self._place = 0

    def __call__(self, count: int) -> int:
        self._place += count
        return int(self._text[self._place - count : self._place].ljust(count, "0") or "0", 2)

    def variable(self) -> int:
        """Pass over a number of variable length (``uvlc``)."""
        zeros = 0
        while zeros < 32 and not self(1):
            zeros += 1
        return self(zeros) if zeros < 32 else 0


def _largest_frame(header: bytes) -> tuple[int, int]:
    """Read the largest width and height from a sequence header (section 5.5.1)."""
    bits = _Bits(header)
    bits(3 + 1)  # profile, still image
    if bits(1):  # a reduced header
        bits(5)
    else:
        _pass_operating_points(bits)
    width_bits, height_bits = bits(4) + 1, bits(4) + 1
    return bits(width_bits) + 1, bits(height_bits) + 1


def _pass_operating_points(bits: _Bits) -> None:
    delay_length, has_model = 0, 0
    if bits(1):  # timing
        bits(64)
        if bits(1):
            bits.variable()
        has_model = bits(1)
        if has_model:
            delay_length = bits(5) + 1
            bits(32 + 5 + 5)
    has_delays = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if has_model and bits(1):
            bits(2 * delay_length + 1)
        if has_delays and bits(1):
            bits(4)
