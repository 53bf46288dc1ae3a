"""Pictures with what was found in them: boxes, masks and labels."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vitrail.figures.draw import PAPER, font

OPACITY = 0.45
GOLDEN = 0.61803398875
"""Steps of this share of the colour circle never come back to where they were."""
LEAST_TEXT, MOST_TEXT = 11, 18


def draw_objects(
    picture: Image.Image,
    boxes: np.ndarray,
    labels: Sequence[str],
    classes: Sequence[int],
    masks: np.ndarray | None = None,
) -> Image.Image:
    """Draw objects on a picture.

    Args:
        picture: of any mode.
        boxes: ``(n, 4)``: left, top, right, bottom, in pixels.
        labels: what is written at each box; nothing where empty.
        classes: of each, which decides its colour.
        masks: bool ``(n, H, W)``, laid over the picture, if there are any.

    Returns:
        An RGB picture of the same size.
    """
    drawn = picture.convert("RGB")
    if masks is not None and len(masks):
        drawn = _overlaid(drawn, masks, classes)
    pen = ImageDraw.Draw(drawn)
    width = max(1, round(min(picture.size) / 240))
    for box, class_ in zip(boxes.tolist(), classes, strict=True):
        pen.rectangle([round(side) for side in box], outline=colour_of(class_), width=width)
    # Text last, so that no box cuts through it.
    for box, label, class_ in zip(boxes.tolist(), labels, classes, strict=True):
        _write(pen, box, label, colour_of(class_), picture.size)
    return drawn


def colour_of(class_: int) -> tuple[int, int, int]:
    """Return the colour of a class; neighbours differ much."""
    red, green, blue = colorsys.hsv_to_rgb((0.58 + class_ * GOLDEN) % 1, 0.75, 0.95 - 0.2 * (class_ % 3 == 2))
    return round(255 * red), round(255 * green), round(255 * blue)


def _overlaid(picture: Image.Image, masks: np.ndarray, classes: Sequence[int]) -> Image.Image:
    pixels = np.asarray(picture, dtype=np.float32).copy()
    for mask, class_ in zip(masks, classes, strict=True):
        pixels[mask] = (1 - OPACITY) * pixels[mask] + OPACITY * np.array(colour_of(class_), dtype=np.float32)
    return Image.fromarray(pixels.round().astype(np.uint8))


def _write(
    pen: ImageDraw.ImageDraw, box: list[float], label: str, colour: tuple[int, int, int], size: tuple[int, int]
) -> None:
    """Write a label at the upper left corner of a box, within the picture."""
    if not label:
        return
    face = font(min(MOST_TEXT, max(LEAST_TEXT, min(size) // 32)))
    wide, tall = round(face.getlength(label)) + 6, round(face.size * 1.3)
    left = max(0, min(round(box[0]), size[0] - wide))
    top = round(box[1]) - tall if box[1] >= tall else min(round(box[1]), size[1] - tall)
    pen.rectangle([left, top, left + wide, top + tall], fill=colour)
    dark = sum(part * share for part, share in zip(colour, (0.3, 0.59, 0.11), strict=True)) > 140
    pen.text((left + 3, top), label, fill=(20, 20, 26) if dark else PAPER, font=face)
