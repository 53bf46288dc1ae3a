"""Decoded pixels of any mode, turned into 8 bits a channel, upright, in strips, so that large images take little."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from vitrail.errors import ImageError

IN_MEMORY = "image in memory"
STRIP = 4_000_000
"""Pixels that are changed at once."""

# EXIF 2.3, section 4.6.4, tag 0x0112: how the stored image has to be turned to stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def with_channels(image: Image.Image, channels: int) -> Image.Image:
    """Turn a decoded image of any mode into mode RGB (``channels`` 3) or L (``channels`` 1).

    Transparency is laid on white; 16-bit grey v becomes v / 257, rounded; float grey must lie in 0 to 1.

    Raises:
        ImageError: whole numbers outside 0 to 65535, or floats outside 0 to 1, whose white is unknown.
    """
    mode = "L" if channels == 1 else "RGB"
    if image.mode == mode and not image.has_transparency_data:
        return image
    return _in_strips(image, mode, lambda strip: _converted(strip, mode))


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image as its EXIF orientation, 1 to 8, says."""
    turn = _UPRIGHT.get(orientation)
    if turn is None:
        return image
    if image.mode != "RGB" or image.width * image.height <= STRIP:
        return image.transpose(turn)
    # Band by band, which takes 7 bytes a pixel at the peak instead of 8.
    bands = list(image.split())
    mode = image.mode
    del image
    for number, band in enumerate(bands):
        bands[number] = band.transpose(turn)
    return Image.merge(mode, bands)


def _in_strips(image: Image.Image, mode: str, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Change rows of an image, which depend on no others."""
    if image.width * image.height <= STRIP:
        return change(image)
    result = Image.new(mode, image.size)
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(image.height, top + rows)
        result.paste(change(image.crop((0, top, image.width, bottom))), (0, top))
    return result


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):
        image = _from_integers(np.asarray(image), image.info.get("transparency"))
    elif image.mode == "F":
        image = _from_floats(np.asarray(image))
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image.convert("RGBA"))
        image = ground
    return image if image.mode == mode else image.convert(mode)


def _from_integers(values: np.ndarray, transparent: object = None) -> Image.Image:
    """Scale 16-bit grey to 8 bits: 65535 / 257 = 255 exactly; 257 is odd, so that no value lies halfway.

    Pixels of the value ``transparent`` show the white behind them.
    """
    if values.min() < 0 or values.max() > 65535:
        reason = "grey values outside 0 to 65535 have no known white; save it with 16 bits"
        raise ImageError(IN_MEMORY, reason)
    scaled = values.astype(np.uint32)
    scaled += 128
    scaled //= 257
    grey = scaled.astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _from_floats(values: np.ndarray) -> Image.Image:
    """Scale float grey in [0, 1] to 8 bits."""
    if not (values.min() >= 0 and values.max() <= 1):  # So written that NaN is refused too.
        reason = "float values outside 0 to 1 have no known white; save it with 8 or 16 bits"
        raise ImageError(IN_MEMORY, reason)
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


__all__ = ["IN_MEMORY", "upright", "with_channels"]
