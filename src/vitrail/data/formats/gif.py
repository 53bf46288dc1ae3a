"""GIF files: the first frame alone is handed to the decoder, without comments and other extensions."""

from __future__ import annotations

import io

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from vitrail.data.formats import budget
from vitrail.data.formats.budget import Refused

MOST_EXTENSIONS, MOST_BLOCKS = 100_000, 1_000_000
"""Extensions in front of the first frame, and blocks of at most 255 bytes in each and in the frame."""
SPEED = 20e-9
"""Seconds a pixel takes at most."""

_HEADER = 13


def read_gif(data: bytes) -> Image.Image:
    """Decode the first frame of a GIF."""
    image = GifImageFile(io.BytesIO(_first_frame(data)))
    width, height = image.size
    budget.check_size(width, height)
    budget.check_density(width, height, len(data))
    budget.check_memory(width, height, 2 * width * height + 2 * len(data))
    budget.check_time(width, height, SPEED * width * height)
    image.load()
    return image


def _first_frame(data: bytes) -> bytes:
    """Return header, colours, the transparency and the blocks of the first frame."""
    view, place, extensions = memoryview(data), _HEADER, 0
    if len(data) > _HEADER and data[10] & 0x80:
        place += 3 << (data[10] & 7) + 1
    kept: list[memoryview | bytes] = [view[:place]]
    while place < len(data) and data[place] != 0x3B:
        extensions += 1
        if extensions > MOST_EXTENSIONS:
            raise Refused(f"it has more than {MOST_EXTENSIONS} extensions before its first frame")
        if data[place] == 0x21:
            end = _behind_blocks(data, place + 2)
            if data[place + 1 : place + 2] == b"\xf9":
                kept.append(_undisposed(data[place:end]))
            place = end
        elif data[place] == 0x2C:
            flags = data[place + 9] if place + 9 < len(data) else 0
            first = place + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
            return b"".join([*kept, view[place : _behind_blocks(data, first)], b";"])
        else:
            place += 1
    return b"".join([*kept, b";"])


def _behind_blocks(data: bytes, place: int) -> int:
    """Return where a chain of blocks, each with its length before it, has ended."""
    blocks = 0
    while place < len(data) and data[place]:
        place += 1 + data[place]
        blocks += 1
        if blocks > MOST_BLOCKS:
            raise Refused(f"it has more than {MOST_BLOCKS} blocks in a row")
    return min(place + 1, len(data))


def _undisposed(control: bytes) -> bytes:
    """Take out what is to become of the frame once it was shown, for which the decoder would claim memory."""
    return control[:3] + bytes([control[3] & ~0x1C]) + control[4:] if len(control) > 3 else control
