"""The one safe way to open an image, for training, evaluation and prediction alike.

A file is untrusted input: whatever its bytes are, the answer is an image or an `ImageError`. What decoding would cost
is read from the header and checked before anything is unfolded (`vitrail.data.formats.budget`), and only the decoders
of a few formats are ever reached. Pillow's global settings stay as they are.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image

from vitrail.data.formats import bmp, budget, gif, heif, jpeg, kinds, png, tiff, webp
from vitrail.data.formats.avif import read_avif
from vitrail.data.formats.budget import MAX_PIXELS, Refused
from vitrail.data.formats.kinds import IMAGE_SUFFIXES
from vitrail.data.formats.pnm import Netpbm, read_pnm
from vitrail.data.mask_values import numbers_of
from vitrail.data.pixels import IN_MEMORY, upright, with_channels
from vitrail.errors import ImageError

Source = str | Path | BinaryIO | bytes
T = TypeVar("T")

MOST_BYTES = budget.MAX_BYTES // 2
"""Larger files are refused where the decoder needs them as a whole."""
READ_AT_ONCE = 8_000_000
"""Files of up to so many bytes are read as a whole before anything else."""

_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS_OF_FILES = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a named pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
}


def open_image(source: Source, channels: int = 3, *, enough: int | None = None) -> Image.Image:
    """Open a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM, PGM or (by an extra) HEIC image, upright, in 8 bits a channel.

    Of a moving image the first frame is opened. Transparency is laid on white. 16-bit grey v becomes v / 257, rounded;
    float grey must lie in 0 to 1. A JPEG that lacks only its end marker is read, and so is a PNG with damaged metadata.

    Args:
        source: a file's path, an open binary file, or the file's bytes.
        channels: 3 for an image of mode RGB, 1 for mode L.
        enough: a shorter side, in pixels, beyond which detail is not needed. A larger JPEG is then decoded at
            1/2, 1/4 or 1/8 of its size, never below ``enough``, in a fraction of the time.

    Raises:
        ImageError: the file is missing, empty, damaged, no regular file, of another kind, has more than `MAX_PIXELS`,
            or would take more than half a gigabyte or two seconds to decode.
    """
    return _answered(source, lambda file: _eight_bits(*_decode(file, enough, channels), channels))


def open_indices(source: Source) -> np.ndarray:
    """Open an image whose pixels are numbers, not colours, as `vitrail.data.mask_values.numbers_of` takes them.

    Returns:
        uint8 ``(H, W)``; a palette's colours are not looked at.

    Raises:
        ImageError: as for `open_image`, or its pixels are no such numbers.
    """
    return _answered(source, _indices)


def used_bits(source: Source) -> tuple[int, int] | None:
    """Tell how many bits a channel of a 16-bit image has, and how many its brightest pixel uses.

    A camera of 12 bits whose values were stored as they are gives (16, 12), and looks almost black.

    Returns:
        The bits stored and the bits used, or None for an image of 8 bits a channel or fewer, or of floats.

    Raises:
        ImageError: as for `open_image`.
    """
    return _answered(source, _used_bits)


def _answered(source: Source, answer: Callable[[BinaryIO], T]) -> T:
    """Return what is made of a file; whatever goes wrong is an `ImageError` with the file's name."""
    try:
        with _opened(source) as file:
            return answer(file)
    except ImageError as error:
        raise ImageError(_name(source), error.reason) from error.__cause__
    except Refused as error:
        raise ImageError(_name(source), str(error)) from None
    except FileNotFoundError:
        raise ImageError(_name(source), "there is no such file") from None
    except MemoryError as error:
        raise ImageError(_name(source), "there is not enough memory to decode it") from error
    except Exception as error:
        raise ImageError(_name(source), f"the image cannot be read ({_half_sentence(error)})") from error


def _opened(source: Source) -> AbstractContextManager[BinaryIO]:
    """Open a source for reading; of files only regular ones, for a pipe or a device may give bytes for ever."""
    if not isinstance(source, (str, Path)):
        return io.BytesIO(source if isinstance(source, bytes) else source.read())
    number = os.open(source, os.O_RDONLY | _WITHOUT_WAITING)
    try:
        status = os.fstat(number)
        _check_regular(status.st_mode)
        if status.st_size <= READ_AT_ONCE:
            return io.BytesIO(os.read(number, status.st_size + 1))
        return os.fdopen(os.dup(number), "rb")
    finally:
        os.close(number)


def _check_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise Refused(f"{_KINDS_OF_FILES.get(stat.S_IFMT(mode), 'it is no regular file')}, not an image file")


def _name(source: Source) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    return str(getattr(source, "name", IN_MEMORY))


def _decode(file: BinaryIO, enough: int | None, channels: int) -> tuple[Image.Image, int]:
    """Decode the first frame; return it as it is stored, and how it has to be turned."""
    kind = _kind(file)
    try:
        image, turn = _read(kind, file, enough)
    except (ImageError, Refused, MemoryError):
        raise
    except Exception as error:  # Pillow's decoders raise nearly every kind of exception on mutated bytes.
        reason = f"the {kind} data cannot be decoded ({_half_sentence(error)})"
        raise ImageError(IN_MEMORY, reason) from error
    _check_conversion(image, turn, channels)
    return image, turn


def _kind(file: BinaryIO) -> str:
    header = file.read(kinds.LONGEST_HEADER)
    file.seek(0)
    return kinds.kind_of(header)


def _read(kind: str, file: BinaryIO, enough: int | None) -> tuple[Image.Image, int]:
    match kind:
        case "JPEG":
            return jpeg.read_jpeg(_bytes(file), enough)
        case "PNG":
            return png.read_png(_bytes(file))
        case "WebP":
            return webp.read_webp(_bytes(file))
        case "AVIF":
            return read_avif(_bytes(file))
        case "HEIC":
            return heif.read_heif(_bytes(file)), 1
        case "GIF":
            return gif.read_gif(_bytes(file)), 1
        case "BMP":
            return bmp.read_bmp(file), 1
        case "TIFF":
            return tiff.read_tiff(file), 1
        case _:
            return Image.fromarray(read_pnm(_bytes(file)).eight_bits()), 1


def _bytes(file: BinaryIO) -> bytes:
    """Read a whole file, if decoding it could fit into the budget at all."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()
    size = file.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise Refused(f"its {size // 1_000_000} MB are more than the limit of {MOST_BYTES // 1_000_000}; scale it down")
    file.seek(0)
    return file.read(size)  # How much is said, for a reader told to take what comes claims more than is there.


def _check_conversion(image: Image.Image, turn: int, channels: int) -> None:
    """Hold the budget where a second image is made: of other mode, or turned (of three bands, one after the other)."""
    pixels = image.width * image.height
    result = pixels * (1 if channels == 1 else 4)
    converted = image.mode != ("L" if channels == 1 else "RGB") or image.has_transparency_data
    turned = pixels * (2 if channels == 1 else 7) if turn != 1 else 0
    budget.check_memory(*image.size, max(budget.held(image) + result if converted else 0, turned))


def _eight_bits(image: Image.Image, turn: int, channels: int) -> Image.Image:
    """Turn a decoded image into 8 bits a channel, upright, and without metadata, so that it is turned only once."""
    image = upright(with_channels(image, channels), turn)
    image.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return image


def _indices(file: BinaryIO) -> np.ndarray:
    if _kind(file) == "PNM":
        netpbm = _netpbm(file)
        if netpbm.values.ndim == 2 and netpbm.values.max(initial=0) <= 255:
            return np.array(netpbm.values, dtype=np.uint8)
        image, turn = Image.fromarray(netpbm.eight_bits()), 1
    else:
        image, turn = _decode(file, None, 1)
    return numbers_of(upright(image, turn))


def _netpbm(file: BinaryIO) -> Netpbm:
    try:
        return read_pnm(_bytes(file))
    except ValueError as error:
        raise ImageError(IN_MEMORY, f"the PNM data cannot be decoded ({_half_sentence(error)})") from error


def _used_bits(file: BinaryIO) -> tuple[int, int] | None:
    kind = _kind(file)
    if kind == "PNM":
        netpbm = _netpbm(file)
        stored, highest = netpbm.white.bit_length(), int(netpbm.values.max())
        return (stored, highest.bit_length()) if stored > 8 else None
    if kind not in ("PNG", "TIFF"):
        return None
    stored = png.stored_bits(file.read(32)) if kind == "PNG" else tiff.stored_bits(file)
    file.seek(0)
    if stored != 16:
        return None
    image, _ = _decode(file, None, 3)
    values = np.asarray(image)
    if values.dtype == np.uint8:  # Pillow keeps the upper 8 bits of colours.
        colours = values[..., : 3 if values.shape[-1] > 2 else 1] if values.ndim == 3 else values
        return 16, 8 + int(colours.max()).bit_length()
    return (16, int(values.max()).bit_length()) if values.dtype.kind in "iu" else None


def _half_sentence(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "open_image", "open_indices", "used_bits", "with_channels"]
