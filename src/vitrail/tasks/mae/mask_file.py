"""A mask as the user gives it: an image of what to hide, or the numbers of patches."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.layers.masking import mask_of_image, mask_of_patches
from vitrail.models.backbone import Backbone
from vitrail.paths import user_path
from vitrail.tasks.drawn_mask import drawn_mask

NUMBERS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


def read_mask(text: str, encoder: Backbone) -> Tensor:
    """Read which patches are to be hidden of every image of an encoder's own size.

    Args:
        text: numbers such as "0-9,14", counted from 0 in reading order; or an image file, bright where patches are
            to be hidden, as large as the input or of its shape.
        encoder: a ViT.

    Returns:
        ``(N,)`` bool, 1 = hidden.

    Raises:
        ConfigError: a patch or a shape that does not fit, or nothing or everything is hidden.
        ImageError: the image cannot be read.
    """
    grid = encoder.token_grid(*encoder.config.image_size)
    assert grid is not None  # of a ViT
    numbers = re.sub(r"\s", "", text)
    if NUMBERS.fullmatch(numbers):
        return mask_of_patches(_numbers(numbers), grid)
    if not user_path(text, ConfigError).is_file():
        raise ConfigError(f'the mask {text!r} is neither an image file nor numbers of patches such as "0-9,14"')
    return mask_of_image(drawn_mask(text, encoder.config.image_size, grid), grid)


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
