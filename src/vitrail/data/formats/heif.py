"""HEIC photos, opened by a package that is an extra."""

from __future__ import annotations

from PIL import Image

from vitrail.data.formats import budget, isobmff
from vitrail.data.formats.budget import Refused

MEMORY, SPEED = 14.0, 80e-9
"""Bytes and seconds a pixel takes at most."""
BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}


def read_heif(data: bytes) -> Image.Image:
    """Decode the main image of a HEIC file; the library turns it upright itself."""
    try:
        import pi_heif  # type: ignore[import-not-found]
    except ImportError:
        raise Refused("a HEIC photo: convert it or install vitrail[heic]") from None
    for width, height in isobmff.sizes(data, isobmff.boxes(data)):
        _check(width, height, len(data))
    opened = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
    width, height = opened.size
    _check(width, height, len(data))
    return opened.to_pillow()


def _check(width: int, height: int, stored: int) -> None:
    budget.check_size(width, height)
    budget.check_density(width, height, stored)
    budget.check_memory(width, height, MEMORY * width * height + 2 * stored)
    budget.check_time(width, height, SPEED * width * height)
