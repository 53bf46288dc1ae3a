"""What one image may cost, whatever its format: decided from its header, before anything is unfolded."""

from __future__ import annotations

from PIL import Image

MAX_PIXELS = 100_000_000
"""More pixels than this are refused: few cameras write more."""

MAX_BYTES = 460_000_000
"""Memory that decoding an image and turning it into 8 bits a channel may take: with what the allocator adds it stays
below 0.5 GB in each of several data workers."""

MAX_SECONDS = 2.0
"""Time that decoding may take on one ordinary core, estimated from the header."""

SPARSE_FROM, SPARSEST = 16_000_000, 0.001
"""Beyond so many pixels a file of fewer bytes a pixel than this holds no photo, but a bomb (or an empty canvas)."""

BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}
"""What Pillow takes for a pixel of each mode; 4 for all others."""


class Refused(Exception):
    """Why an image is not opened: half a sentence."""


def check_size(width: int, height: int) -> None:
    """Refuse images without pixels, or with more than `MAX_PIXELS`."""
    if width < 1 or height < 1:
        raise Refused("the image has no pixels")
    if width * height > MAX_PIXELS:
        limit = f"the limit of {MAX_PIXELS // 1_000_000} million"
        raise Refused(f"{width} x {height} pixels are more than {limit}; scale it down")


def check_density(width: int, height: int, stored: int) -> None:
    """Refuse a file of ``stored`` bytes that unfolds to implausibly many pixels."""
    if width * height > SPARSE_FROM and stored < SPARSEST * width * height:
        raise Refused(f"{stored} bytes that unfold to {width} x {height} pixels are no photo; scale it down")


def check_memory(width: int, height: int, wanted: float) -> None:
    """Refuse an image that takes ``wanted`` bytes while it is decoded, if that is more than `MAX_BYTES`."""
    if wanted > MAX_BYTES:
        needs = f"decoding its {width} x {height} pixels takes {wanted / 1e9:.1f} GB"
        raise Refused(f"{needs}, more than the limit of 0.5 GB; scale it down or save it as a plain JPEG")


def check_time(width: int, height: int, seconds: float) -> None:
    """Refuse an image that takes ``seconds`` to decode, if that is more than `MAX_SECONDS`."""
    if seconds > MAX_SECONDS:
        needs = f"decoding its {width} x {height} pixels takes about {seconds:.0f} seconds"
        raise Refused(f"{needs}, more than the limit of {MAX_SECONDS:g}; scale it down or save it as a plain JPEG")


def held(image: Image.Image) -> int:
    """Return the bytes of an image's pixels in Pillow."""
    return image.width * image.height * BYTES_A_PIXEL.get(image.mode, 4)
