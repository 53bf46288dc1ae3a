"""The one safe way to open a picture, for training, evaluation and prediction alike.

A file is untrusted input: whatever its bytes are, the answer is a picture or an `ImageError`. The pixel count
is read from the header and checked before anything is unfolded, and only the decoders of six formats are
ever reached. Pillow's global settings stay as they are.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base as ExifTag
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from vitrail.errors import ImageError

MAX_PIXELS = 100_000_000
"""More pixels than this are refused: no camera in common use writes more, and one decoded picture
(4 bytes a pixel in Pillow) then stays below 0.4 GB in each of several data workers."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""Lower-case file suffixes that count as pictures when a folder is searched."""

_KINDS: dict[bytes, tuple[str, Callable[..., ImageFile]]] = {
    b"\xff\xd8\xff": ("JPEG", JpegImageFile),
    b"\x89PNG\r\n\x1a\n": ("PNG", PngImageFile),
    b"RIFF": ("WebP", WebPImageFile),
    b"II*\0": ("TIFF", TiffImageFile),
    b"MM\0*": ("TIFF", TiffImageFile),
    b"II+\0": ("TIFF", TiffImageFile),
    b"MM\0+": ("TIFF", TiffImageFile),
    b"BM": ("BMP", BmpImageFile),
    b"GIF87a": ("GIF", GifImageFile),
    b"GIF89a": ("GIF", GifImageFile),
}
_LONGEST_HEADER = 30
_IN_MEMORY = "picture in memory"

# EXIF 2.3, section 4.6.4, tag 0x0112: how the stored picture has to be turned to stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(source: str | Path | BinaryIO | bytes, channels: int = 3, *, enough: int | None = None) -> Image.Image:
    """Open a JPEG, PNG, WebP, TIFF, BMP or GIF picture (its first frame), upright, in 8 bits a channel.

    Transparency is laid on white. 16-bit grey v becomes v / 257, rounded; float grey must lie in 0 to 1.

    Args:
        source: a file's path, an open binary file, or the file's bytes.
        channels: 3 for a picture of mode RGB, 1 for mode L.
        enough: a shorter side, in pixels, beyond which detail is not needed. A larger JPEG is then decoded at
            1/2, 1/4 or 1/8 of its size, never below ``enough``, in a fraction of the time.

    Raises:
        ImageError: the file is missing, empty, damaged, of another kind, or has more than `MAX_PIXELS`.
    """
    try:
        with _opened(source) as file:
            return with_channels(_decode(file, enough), channels)
    except ImageError as error:
        raise ImageError(_name(source), error.reason) from error.__cause__
    except FileNotFoundError:
        raise ImageError(_name(source), "there is no such file") from None
    except Exception as error:
        raise ImageError(_name(source), f"the picture cannot be read ({_half_sentence(error)})") from error


def open_indices(source: str | Path | BinaryIO | bytes) -> np.ndarray:
    """Open a picture whose pixels are numbers, not colours: a grey one of 8 bits, or the indices of a palette.

    Returns:
        uint8 ``(H, W)``; a palette's colours are not looked at.

    Raises:
        ImageError: as for `open_image`, or its pixels are no such numbers.
    """
    try:
        with _opened(source) as file:
            picture = _decode(file, None)
    except ImageError as error:
        raise ImageError(_name(source), error.reason) from error.__cause__
    except FileNotFoundError:
        raise ImageError(_name(source), "there is no such file") from None
    if picture.mode not in ("L", "P", "1"):
        reason = f"its pixels are of mode {picture.mode}; a picture of numbers has one byte a pixel (mode L or P)"
        raise ImageError(_name(source), reason)
    return np.array(picture).astype(np.uint8)


def with_channels(picture: Image.Image, channels: int) -> Image.Image:
    """Turn a decoded picture of any mode into mode RGB (``channels`` 3) or L (``channels`` 1).

    Raises:
        ImageError: whole numbers outside 0 to 65535, or floats outside 0 to 1, whose white is unknown.
    """
    if picture.mode.startswith("I"):
        picture = _from_integers(np.asarray(picture))
    elif picture.mode == "F":
        picture = _from_floats(np.asarray(picture))
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture.convert("RGBA"))
        picture = ground
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _opened(source: str | Path | BinaryIO | bytes) -> AbstractContextManager[BinaryIO]:
    if isinstance(source, str):
        source = Path(source)
    if isinstance(source, Path):
        return source.open("rb")
    return io.BytesIO(source if isinstance(source, bytes) else source.read())


def _name(source: str | Path | BinaryIO | bytes) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    return str(getattr(source, "name", _IN_MEMORY))


def _decode(file: BinaryIO, enough: int | None) -> Image.Image:
    """Decode the first frame and turn it upright; whatever can be refused is refused from the header."""
    header = file.read(_LONGEST_HEADER)
    file.seek(0)
    kind, decoder = _kind(header)
    try:
        if kind == "WebP":  # Its decoder claims memory for the whole canvas when it is opened.
            _check_size(*_webp_size(header))
        picture = decoder(file)
        _check_size(*picture.size)
        if isinstance(picture, TiffImageFile):
            _check_size(*_tile_size(picture))
        if enough is not None:
            picture.draft(None, (enough, enough))
        picture.load()
        return _upright(picture)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly every kind of exception on mutated bytes.
        reason = f"the {kind} data cannot be decoded ({_half_sentence(error)})"
        raise ImageError(_IN_MEMORY, reason) from error


def _kind(header: bytes) -> tuple[str, Callable[..., ImageFile]]:
    if not header:
        raise ImageError(_IN_MEMORY, "the file is empty")
    for magic, kind in _KINDS.items():
        if header.startswith(magic) and (magic != b"RIFF" or header[8:12] == b"WEBP"):
            return kind
    raise ImageError(_IN_MEMORY, "not a JPEG, PNG, WebP, TIFF, BMP or GIF picture")


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(_IN_MEMORY, "the picture has no pixels")
    if width * height > MAX_PIXELS:
        limit = f"the limit of {MAX_PIXELS // 1_000_000} million"
        raise ImageError(_IN_MEMORY, f"{width} x {height} pixels are more than {limit}; scale it down")


def _webp_size(header: bytes) -> tuple[int, int]:
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
    raise ValueError("the first chunk holds no picture")


def _tile_size(picture: TiffImageFile) -> tuple[int, int]:
    """Return the width and height of a TIFF's tiles (tags 322, 323): each is unfolded as a whole."""
    return int(picture.tag_v2.get(322, 1)), int(picture.tag_v2.get(323, 1))


def _upright(picture: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says, and forget its metadata, so that it is turned once."""
    try:
        turn = _UPRIGHT.get(picture.getexif().get(ExifTag.Orientation, 1))
    except Exception:  # Damaged metadata says nothing about the pixels.
        turn = None
    if turn is not None:
        picture = picture.transpose(turn)
    picture.info = {key: value for key, value in picture.info.items() if key == "transparency"}
    return picture


def _from_integers(values: np.ndarray) -> Image.Image:
    """Scale 16-bit grey to 8 bits: 65535 / 257 = 255 exactly; 257 is odd, so that no value lies halfway."""
    if values.min() < 0 or values.max() > 65535:
        reason = "grey values outside 0 to 65535 have no known white; save it with 16 bits"
        raise ImageError(_IN_MEMORY, reason)
    scaled = values.astype(np.uint32)
    scaled += 128
    scaled //= 257
    return Image.fromarray(scaled.astype(np.uint8))


def _from_floats(values: np.ndarray) -> Image.Image:
    """Scale float grey in [0, 1] to 8 bits."""
    if not (values.min() >= 0 and values.max() <= 1):  # So written that NaN is refused too.
        reason = "float values outside 0 to 1 have no known white; save it with 8 or 16 bits"
        raise ImageError(_IN_MEMORY, reason)
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _half_sentence(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "open_image", "open_indices", "with_channels"]
