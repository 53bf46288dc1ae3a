"""A mask that the user drew: an image, bright where something is to be hidden, of the shape of the model's input."""

from __future__ import annotations

from torch import Tensor

from vitrail.data.images import open_image
from vitrail.data.transforms import to_tensor
from vitrail.errors import ConfigError
from vitrail.paths import user_path


def drawn_mask(text: str, input_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Read a drawn mask.

    Args:
        text: its file.
        input_size: height and width of the model's input; the mask needs its shape, a pixel more or less is let pass.
        grid: rows and columns that it is going to be laid over; it needs a pixel for each.

    Returns:
        ``(H, W)`` in [0, 1], 1 = bright.

    Raises:
        ConfigError: its shape does not fit.
        ImageError: it cannot be read.
    """
    image = open_image(user_path(text, ConfigError), 1)
    (width, height), (rows, columns) = image.size, grid
    if width < columns or height < rows or abs(width * input_size[0] / input_size[1] - height) > 1:
        raise ConfigError(
            f"the mask {text} is {width} pixels wide and {height} high; it needs the shape of the input, which is "
            f"{input_size[1]} wide and {input_size[0]} high, or a pixel for each of {columns} by {rows} patches"
        )
    return to_tensor(image)[0] / 255


__all__ = ["drawn_mask"]
