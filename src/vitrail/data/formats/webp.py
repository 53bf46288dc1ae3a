"""WebP files: the size is known before the decoder claims memory for the whole canvas, several times."""

from __future__ import annotations

import io
import struct

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from vitrail.data.formats import budget
from vitrail.data.formats.exif import orientation

LONGEST_HEADER = 30
MOST_CHUNKS = 100_000
LOSSY, LOSSLESS = 17.0, 20.5
"""Bytes a pixel at the peak: two canvases of the animation's decoder, their copy, and Pillow's image; a lossless image
or transparency is unfolded once more."""
SPEED = 80e-9
"""Seconds a pixel takes at most."""


def read_webp(data: bytes) -> tuple[Image.Image, int]:
    """Decode the first frame of a WebP; return it and how it has to be turned."""
    width, height = _size(data[:LONGEST_HEADER])
    budget.check_size(width, height)
    budget.check_density(width, height, len(data))
    _check_chunks(data)
    lossless = b"VP8L" in data or b"ALPH" in data
    budget.check_memory(width, height, width * height * (LOSSLESS if lossless else LOSSY) + 2 * len(data))
    budget.check_time(width, height, SPEED * width * height)
    opened = WebPImageFile(io.BytesIO(data))
    budget.check_size(*opened.size)
    opened.load()
    turn = orientation(opened.info.get("exif"), opened.info.get("xmp"))
    # The canvases are not needed any more, and the memory is, when the image is turned or its alpha laid on white.
    opened._decoder = opened.fp = None  # type: ignore[assignment]
    return opened, turn


def _size(header: bytes) -> tuple[int, int]:
    """Read width and height from the first 30 bytes (RFC 9649, sections 2.5 to 2.7; RFC 6386, 9.1)."""
    chunk, data = header[12:16], header[20:].ljust(10, b"\0")
    if chunk == b"VP8X":  # After 4 bytes of flags: width - 1 and height - 1 in 24 bits each.
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if chunk == b"VP8L":  # After the signature byte: width - 1 and height - 1 in 14 bits each.
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if chunk == b"VP8 ":  # After the frame tag and start code: 14 bits each, and 2 bits of scaling.
        width, height = struct.unpack("<HH", data[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("the first chunk holds no image")


def _check_chunks(data: bytes) -> None:
    place, chunks = 12, 0
    while place + 8 <= len(data):
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise budget.Refused(f"it has more than {MOST_CHUNKS} chunks")
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + (size & 1)
