"""Images with what was found in them: boxes, masks and labels."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vitrail.visualize.draw import PAPER, cut_in_the_middle, font

OPACITY = 0.45
GOLDEN = 0.61803398875
"""Steps of this share of the colour circle never come back to where they were."""
LEAST_TEXT, MOST_TEXT = 11, 18

Place = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


def draw_objects(
    image: Image.Image,
    boxes: np.ndarray,
    labels: Sequence[str],
    classes: Sequence[int],
    masks: np.ndarray | None = None,
) -> Image.Image:
    """Draw objects on an image.

    Args:
        image: of any mode.
        boxes: ``(n, 4)``: left, top, right, bottom, in pixels; the last is on top.
        labels: what is written at each box; nothing where empty.
        classes: of each, which decides its colour.
        masks: bool ``(n, H, W)``, laid over the image, if there are any.

    Returns:
        An RGB image of the same size.
    """
    drawn = image.convert("RGB")
    if masks is not None and len(masks):
        drawn = _overlaid(drawn, masks, classes)
    pen = ImageDraw.Draw(drawn)
    width = max(1, round(min(image.size) / 240))
    for box, class_ in zip(boxes.tolist(), classes, strict=True):
        pen.rectangle([round(side) for side in box], outline=colour_of(class_), width=width)
    # Text last, so that no box cuts through it; the last object has the choice of places, and lies on top of others.
    face = font(min(MOST_TEXT, max(LEAST_TEXT, min(image.size) // 32)))
    labels = [cut_in_the_middle(label, max(1, image.width - 6), face) for label in labels]
    written = [thing for thing in zip(boxes.tolist(), labels, classes, strict=True) if thing[1]]
    places: list[Place] = []
    for box, label, _ in reversed(written):
        places.append(_place(box, round(face.getlength(label)) + 6, round(face.size * 1.3), image.size, places))
    for place, (_, label, class_) in zip(reversed(places), written, strict=True):
        _write(pen, place, label, colour_of(class_), face)
    return drawn


def outlined(image: Image.Image, boxes: np.ndarray) -> Image.Image:
    """Draw boxes ``(n, 4)`` on an image in white between black lines, which are seen on every ground."""
    drawn = image.convert("RGB")  # A copy, also of an image that is RGB.
    pen = ImageDraw.Draw(drawn)
    for box in boxes.round().astype(int).tolist():
        left, top, right, bottom = box
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=(0, 0, 0), width=4)
        pen.rectangle((left, top, right, bottom), outline=PAPER, width=2)
    return drawn


def colour_of(class_: int) -> tuple[int, int, int]:
    """Return the colour of a class; neighbours differ much."""
    red, green, blue = colorsys.hsv_to_rgb((0.58 + class_ * GOLDEN) % 1, 0.75, 0.95 - 0.2 * (class_ % 3 == 2))
    return round(255 * red), round(255 * green), round(255 * blue)


def _overlaid(image: Image.Image, masks: np.ndarray, classes: Sequence[int]) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float32).copy()
    for mask, class_ in zip(masks, classes, strict=True):
        colour = np.array(colour_of(class_), dtype=np.float32)
        pixels[mask] = (1 - OPACITY) * pixels[mask] + OPACITY * colour
        pixels[_edge(mask)] = colour
    return Image.fromarray(pixels.round().astype(np.uint8))


def _edge(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask beside which one is outside it; two objects of a class are distinguished by them."""
    around = np.pad(mask, 1, mode="edge")
    return mask & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])


def _place(box: list[float], wide: int, tall: int, size: tuple[int, int], taken: Sequence[Place]) -> Place:
    """Return where a label of this width and height stands: at its box, within the image, not over another."""
    places = []
    for x, y in _corners(box, wide, tall):
        left, top = _between(x, size[0] - wide), _between(y, size[1] - tall)
        places.append((left, top, left + wide, top + tall))
    return next((place for place in places if not any(_overlap(place, other) for other in taken)), places[0])


def _write(
    pen: ImageDraw.ImageDraw, place: Place, label: str, colour: tuple[int, int, int], face: ImageFont.FreeTypeFont
) -> None:
    pen.rectangle(place, fill=colour)
    dark = sum(part * share for part, share in zip(colour, (0.3, 0.59, 0.11), strict=True)) > 140
    pen.text((place[0] + 3, place[1]), label, fill=(20, 20, 26) if dark else PAPER, font=face)


def _corners(box: list[float], wide: int, tall: int) -> list[tuple[int, int]]:
    """Return where a label may begin, the best first: above, in and below its box, left and right; then beside it."""
    left, top, right, bottom = (round(side) for side in box)
    above = top - tall if top >= tall else top
    along = [(x, y) for y in (above, top, bottom, bottom - tall) for x in (left, right - wide)]
    return [*along, (right, top), (left - wide, top)]


def _between(start: int, most: int) -> int:
    return max(0, min(start, most))


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
