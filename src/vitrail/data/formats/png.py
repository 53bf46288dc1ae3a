"""PNG files, handed to the decoder without the chunks that do not decide its pixels, broken ones among them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from vitrail.data.formats import budget
from vitrail.data.formats.budget import Refused
from vitrail.data.formats.exif import orientation

MOST_CHUNKS = 100_000
MOST_TEXT = 1 << 20
"""Bytes to which a text chunk that may tell the orientation is unfolded at most."""
SPEED, TRANSPARENT_SPEED = 8e-9, 130e-9
"""Seconds a byte of unfolded rows takes at most, and a pixel of which all 16 bits are compared."""

_SIGNATURE = 8
_END = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
_PIXELS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"CgBI"}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_EXIF_PROFILE, _XMP = b"Raw profile type exif", b"XML:com.adobe.xmp"


@dataclass
class _Walked:
    """The chunks that decide pixels, and what the others say about the orientation."""

    kept: list[memoryview] = field(default_factory=list)
    header: bytes = b""
    cut_off: bool = False
    exif: bytes | None = None
    profile: bytes | None = None
    xmp: bytes | None = None


def read_png(data: bytes) -> tuple[Image.Image, int]:
    """Decode a PNG, of a moving one the image that stands for it; return it and how it has to be turned."""
    walked = _walk(data)
    _check(data, walked.header)
    essence = b"".join([*walked.kept, b"" if walked.cut_off else _END])
    turn = orientation(walked.exif or _unhexed(walked.profile), walked.xmp)
    image = PngImageFile(io.BytesIO(essence))
    budget.check_size(*image.size)
    image.load()
    if image.mode == "RGB" and walked.header[8] == 16 and "transparency" in image.info:
        return _transparent(image, essence), turn
    return image, turn


def stored_bits(data: bytes) -> int:
    """Return the bits of a channel that the file stores."""
    return data[24] if len(data) > 24 else 0


def _walk(data: bytes) -> _Walked:
    walked, view = _Walked(kept=[memoryview(data)[:_SIGNATURE]]), memoryview(data)
    pixels_seen = False
    for number, (place, name, end) in enumerate(_chunks(data)):
        if number > MOST_CHUNKS:
            raise Refused(f"it has more than {MOST_CHUNKS} chunks")
        if name in _PIXELS:
            pixels_seen |= name == b"IDAT"
            walked.kept.append(view[place:end])
            walked.cut_off = place + 12 + int.from_bytes(data[place : place + 4], "big") > len(data)
            walked.header = walked.header or (data[place + 8 : end - 4] if name == b"IHDR" else b"")
        elif name == b"fcTL" and pixels_seen:
            break  # The next frame of a moving image.
        elif name in (b"eXIf", b"tEXt", b"zTXt", b"iTXt") and _whole(view[place:end]):
            _keep_metadata(walked, name, data[place + 8 : end - 4])
    return walked


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Give start, name and end of each chunk; the last one may be cut off if it holds pixels."""
    place = _SIGNATURE
    while place + 8 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        name = data[place + 4 : place + 8]
        if name == b"IEND" or (end > len(data) and name != b"IDAT"):
            return
        yield place, name, min(end, len(data))
        place = end


def _whole(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _keep_metadata(walked: _Walked, name: bytes, content: bytes) -> None:
    """Keep what may tell the orientation: EXIF data, the same in hexadecimal text, and XMP data."""
    if name == b"eXIf":
        walked.exif = content
        return
    key, _, text = content.partition(b"\0")
    if key not in (b"exif", _EXIF_PROFILE, _XMP):
        return
    text = _text(name, text)
    if text is None:
        return
    if key == b"exif":
        walked.exif = text
    elif key == _EXIF_PROFILE:
        walked.profile = text
    else:
        walked.xmp = text


def _text(name: bytes, rest: bytes) -> bytes | None:
    """Return the text of a chunk behind its keyword; None where it is damaged or unfolds too far."""
    folded = name == b"zTXt"
    if name == b"iTXt":
        folded = rest[:1] != b"\0"
        parts = rest[2:].split(b"\0", 2)
        if len(parts) < 3:
            return None
        rest = parts[2]
    elif folded:
        rest = rest[1:]  # The method, of which there is one.
    if not folded:
        return rest
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(rest, MOST_TEXT)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else text


def _unhexed(profile: bytes | None) -> bytes | None:
    """Read EXIF data that ImageMagick has written in hexadecimal, below three lines of heading."""
    try:
        return bytes.fromhex("".join(profile.decode("latin-1").split("\n")[3:])) if profile else None
    except ValueError:
        return b"damaged"


def _check(data: bytes, header: bytes) -> None:
    if len(header) < 13:
        return  # The decoder says what is missing.
    width, height, depth, colour = struct.unpack_from(">IIBB", header)
    budget.check_size(width, height)
    budget.check_density(width, height, len(data))
    bits = depth * _CHANNELS.get(colour, 4)
    pixel = 4 if colour in (2, 4, 6) else 2 if depth == 16 else 1
    budget.check_memory(width, height, width * height * pixel + 2 * len(data) + width * bits)
    budget.check_time(width, height, SPEED * width * height * max(1, bits / 8))


def _transparent(image: Image.Image, essence: bytes) -> Image.Image:
    """Make the one transparent colour of a 16-bit image transparent, comparing all bits; Pillow knows the upper 8."""
    colour = np.array(image.info.pop("transparency"))
    low = PngImageFile(io.BytesIO(essence))
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # PNG stores the upper byte first.
    budget.check_time(*image.size, TRANSPARENT_SPEED * image.width * image.height)
    budget.check_memory(*image.size, 4 * budget.held(image) + 2 * len(essence))
    low.load()
    clear = (np.asarray(image) == colour >> 8).all(axis=2) & (np.asarray(low) == colour & 255).all(axis=2)
    image.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return image
