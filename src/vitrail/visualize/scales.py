"""Fixed colour scales: a colour means the same in every map of every image, and a legend says what.

Attention is drawn in multiples of an even share: where a token attends to all N alike, each gets 1 / N of it, which is
1x and has no colour. Biases are drawn as they are added to scores, and 0 has no colour.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from vitrail.visualize.draw import PAPER, QUIET, TEXT_SIZE, font

FULL_SHARE = 16.0
"""From so many times an even share on, the colour of attention is the last of its scale."""

FULL_BIAS = 4.0
"""From so much added to or taken from a score on, the colour of a bias is the last of its scale."""

ATTENTION_COLOURS = "inferno"  # Perceptually uniform, and as legible in grey print and to colour-blind eyes.
FIRST_COLOUR = 0.35  # Of the colour map: its black and violet would pass for shadows of the image.
BIAS_COLOURS = "RdBu_r"  # White in the middle, and distinguishable to the colour-blind.
OPACITY, OPACITY_POWER = 0.85, 0.7
MIDDLE_GREY = 150

BAR = (340, 14)
"""Width and height of the bar of a legend, in pixels."""


def attention_heat(multiples: np.ndarray) -> np.ndarray:
    """Place multiples of an even share on the scale: 0 at 1x and below, 1 at `FULL_SHARE` and above, by their log."""
    return np.log2(np.clip(np.nan_to_num(multiples, nan=0.0), 1.0, FULL_SHARE)) / np.log2(FULL_SHARE)


def attention_colours(multiples: np.ndarray, grey: np.ndarray | float) -> np.ndarray:
    """Lay the colours of attention over grey.

    Args:
        multiples: of an even share, of any shape ``(...)``.
        grey: what lies below, in [0, 1], ``(...)``.

    Returns:
        ``(..., 3)`` in [0, 1]; the grey itself where there is no more than an even share.
    """
    heat = attention_heat(multiples)[..., None]
    colour = coloured(ATTENTION_COLOURS, FIRST_COLOUR + (0.98 - FIRST_COLOUR) * heat[..., 0])
    opacity = OPACITY * heat**OPACITY_POWER
    return (1 - opacity) * np.broadcast_to(grey, heat.shape[:-1])[..., None] + opacity * colour


def attention_map(image: Image.Image, multiples: Tensor) -> Image.Image:
    """Lay attention over an image, which stays visible in grey.

    Args:
        image: of any size and mode.
        multiples: ``(h, w)``, of an even share, spread over the whole image place by place, without smoothing: there is
            nothing finer to be seen.

    Returns:
        An RGB image of the same size; a place with an even share or less is the image's own grey.
    """
    size = (image.height, image.width)
    spread = F.interpolate(multiples.detach().float().cpu()[None, None], size, mode="nearest-exact")[0, 0].numpy()
    grey = np.asarray(image.convert("L"), dtype=np.float32) / 255
    return _to_image(attention_colours(spread, grey))


def attention_legend() -> Image.Image:
    """Draw the scale of attention, over a middle grey."""
    ticks = [(np.log2(multiple) / np.log2(FULL_SHARE), text) for multiple, text in _SHARES]

    def colour(places: np.ndarray) -> np.ndarray:
        return attention_colours(FULL_SHARE**places, MIDDLE_GREY / 255)

    return _legend(colour, ticks, "attention, in multiples of an even share; no colour up to 1x")


def bias_map(values: Tensor, side: int) -> Image.Image:
    """Draw a table of biases ``(h, w)``, without smoothing; its longer side becomes ``side`` pixels."""
    return blown_up(_to_image(bias_colours(values.numpy())), side)


def bias_colours(values: np.ndarray) -> np.ndarray:
    """Return the colours of biases, of any shape ``(...)``, as ``(..., 3)`` in [0, 1]: white for 0."""
    return coloured(BIAS_COLOURS, 0.5 + np.clip(values, -FULL_BIAS, FULL_BIAS) / (2 * FULL_BIAS))


def bias_legend() -> Image.Image:
    """Draw the scale of biases."""
    values = np.linspace(-FULL_BIAS, FULL_BIAS, 5)
    ticks = [((value + FULL_BIAS) / (2 * FULL_BIAS), f"{value:+g}" if value else "0") for value in values]

    def colour(places: np.ndarray) -> np.ndarray:
        return bias_colours((2 * places - 1) * FULL_BIAS)

    return _legend(colour, ticks, "added to the score; +0.7 doubles a weight, -0.7 halves it")


def number_map(values: Tensor, side: int) -> Image.Image:
    """Draw a table of row numbers ``(h, w)``, dark from 0 to bright for the largest, without smoothing."""
    return blown_up(_to_image(coloured("viridis", (values / values.max().clamp(min=1)).numpy())), side)


def blown_up(image: Image.Image, side: int) -> Image.Image:
    """Bring an image's longer side to so many pixels, without smoothing."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST)


_SHARES = [(1, "1x"), (2, "2x"), (4, "4x"), (8, "8x"), (16, "16x+")]


def coloured(name: str, places: np.ndarray) -> np.ndarray:
    """Look places in [0, 1] up in a colour map of matplotlib's: ``(...)`` to ``(..., 3)`` in [0, 1]."""
    import matplotlib

    return matplotlib.colormaps[name](places)[..., :3].astype(np.float32)


def scale_legend(colour: str | Callable[[np.ndarray], np.ndarray], ticks: Sequence[str], unit: str) -> Image.Image:
    """Draw the legend of a scale whose ticks are evenly spaced from its first colour to the last.

    Args:
        colour: the name of a colour map of matplotlib's, or what gives places in [0, 1] their colour.
        ticks: what stands below the bar.
        unit: what stands above it.
    """
    places = np.linspace(0, 1, len(ticks))
    look_up = functools.partial(coloured, colour) if isinstance(colour, str) else colour
    return _legend(look_up, list(zip(places.tolist(), ticks, strict=True)), unit)


def _to_image(colours: np.ndarray) -> Image.Image:
    return Image.fromarray((colours * 255).round().clip(0, 255).astype(np.uint8))


def _legend(colour: Callable[[np.ndarray], np.ndarray], ticks: Sequence[tuple[float, str]], unit: str) -> Image.Image:
    """Draw a scale as a bar below its unit and above its numbers."""
    face = font(TEXT_SIZE - 4)
    line = round(face.size * 1.35)
    margin = round(face.getlength(ticks[0][1]) / 2) + 2
    right = margin + BAR[0] + round(face.getlength(ticks[-1][1]) / 2) + 2
    block = Image.new("RGB", (max(right, round(face.getlength(unit)) + 2), 2 * line + BAR[1] + 8), PAPER)
    pen = ImageDraw.Draw(block)
    pen.text((0, 0), unit, fill=QUIET, font=face)
    bar = _to_image(colour(np.linspace(0, 1, BAR[0]))[None])
    block.paste(bar.resize(BAR, Image.Resampling.NEAREST), (margin, line + 4))
    for place, text in ticks:
        x, bottom = margin + round(place * (BAR[0] - 1)), line + 4 + BAR[1]
        pen.line((x, bottom, x, bottom + 3), fill=QUIET)
        pen.text((x - face.getlength(text) / 2, bottom + 4), text, fill=QUIET, font=face)
    return block
