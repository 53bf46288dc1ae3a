"""Images of which class every pixel shows: palettes, overlays, errors, legends."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from vitrail.console import percent
from vitrail.visualize.draw import GAP, INK, PAPER, Tile, cut_in_the_middle, enlarge, font, sheet

VOID = 255
OPACITY = 0.6
RIGHT, WRONG, UNJUDGED = (226, 232, 240), (214, 40, 57), (120, 124, 136)
ERROR_OPACITY = 0.65
ALL_VOID = "all of it void, nothing judged"
GOLDEN = 0.61803398875
"""Steps of the golden ratio round the colour circle: however many there are, no two fall together."""

SWATCH = 16
LEGEND_TEXT = 15


def palette(count: int) -> list[tuple[int, int, int]]:
    """Return so many colours that can be distinguished: hues at steps of the golden ratio, in three lightnesses."""
    colours = []
    for number in range(count):
        lightness, saturation = ((0.52, 0.75), (0.36, 0.7), (0.7, 0.65))[number % 3]
        red, green, blue = colorsys.hls_to_rgb((0.6 + number * GOLDEN) % 1, lightness, saturation)
        colours.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colours


def index_image(values: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """Return an image of mode P whose indices are the values uint8 ``(H, W)``, so that viewers show colours.

    Args:
        values: what the pixels hold.
        colours: of the values from 0 on; the others are black.
    """
    image = Image.fromarray(values)
    flat = [channel for colour in colours for channel in colour]
    image.putpalette(flat + [0] * (768 - len(flat)))
    return image


def overlay(image: Image.Image, classes: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """Lay the colours of classes uint8 ``(H, W)`` over an image of that size; void is darker.

    The image stays visible in grey, so that no colour of its own mixes with that of a class.
    """
    table = np.zeros((256, 3), np.float32)
    table[: len(colours)] = colours
    pixels = np.asarray(image.convert("L"), np.float32)[..., None]
    opacity = np.where(classes == VOID, 0.45, OPACITY)[..., None]
    return Image.fromarray(((1 - opacity) * pixels + opacity * table[classes]).round().astype(np.uint8))


def errors(image: Image.Image, truth: np.ndarray, found: np.ndarray) -> Image.Image:
    """Show where a segmentation is right (pale), wrong (red), and not judged because the truth is void (grey)."""
    colour = np.where((truth == found)[..., None], RIGHT, WRONG)
    colour = np.where((truth == VOID)[..., None], UNJUDGED, colour)
    grey = np.asarray(image.convert("L"), np.float32)[..., None]
    return Image.fromarray(((1 - ERROR_OPACITY) * grey + ERROR_OPACITY * colour).round().astype(np.uint8))


def panel(
    images: Sequence[Image.Image],
    truths: Sequence[np.ndarray | None],
    found: Sequence[np.ndarray],
    class_names: Sequence[str],
    captions: Sequence[str] = (),
) -> Image.Image:
    """Draw images, what they show, what a model says they show, and where it errs, row by row with a legend.

    Args:
        images: of any sizes.
        truths: classes uint8 ``(H, W)``, `VOID` where nothing is said; None where the truth is not known.
        found: the model's classes uint8 ``(H, W)``.
        class_names: in the order of the classes.
        captions: one for each image, or none.
    """
    colours = palette(len(class_names))
    judged = any(truth is not None for truth in truths)
    rows: list[list[Tile | None]] = []
    shown: set[int] = set()
    void = False
    for image, truth, answer, caption in zip(images, truths, found, captions or [""] * len(images), strict=True):
        row: list[Tile | None] = [
            Tile(enlarge(image), caption),
            None,
            Tile(enlarge(overlay(image, answer, colours))),
        ]
        if truth is not None:
            counted = truth != VOID
            judgement = (
                f"{percent((truth == answer)[counted].mean())} of the pixels right" if counted.any() else ALL_VOID
            )
            row[1] = Tile(enlarge(overlay(image, truth, colours)))
            row.append(Tile(enlarge(errors(image, truth, answer)), judgement))
            void = void or not counted.all()
            shown |= set(np.unique(truth[counted]).tolist())
        shown |= set(np.unique(answer).tolist())
        rows.append(row if judged else [row[0], row[2]])
    names = ("image", "truth", "model", "errors") if judged else ("image", "model")
    drawn = sheet(rows, columns=names)
    entries = [(class_names[number], colours[number]) for number in sorted(shown)]
    if judged:
        entries += [("right", blended(RIGHT)), ("wrong", blended(WRONG))]
        entries += [("void, not judged", blended(UNJUDGED))] if void else []
    return below(drawn, legend(entries, drawn.width))


def blended(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return what a colour of `errors` looks like over a middle grey."""
    red, green, blue = (round((1 - ERROR_OPACITY) * 128 + ERROR_OPACITY * part) for part in colour)
    return red, green, blue


def legend(entries: Sequence[tuple[str, tuple[int, int, int]]], width: int) -> Image.Image:
    """Draw names beside squares of their colours, in as many lines as a width in pixels asks for."""
    face = font(LEGEND_TEXT)
    lines: list[list[tuple[int, str, tuple[int, int, int]]]] = [[]]
    left = 2 * GAP
    for full_name, colour in entries:
        name = cut_in_the_middle(full_name, width - SWATCH - 5 * GAP, face)
        length = round(face.getlength(name)) + SWATCH + 3 * GAP
        if left + length > width and lines[-1]:
            lines.append([])
            left = 2 * GAP
        lines[-1].append((left, name, colour))
        left += length
    height = SWATCH + GAP
    block = Image.new("RGB", (width, height * len(lines) + GAP), PAPER)
    pen = ImageDraw.Draw(block)
    for number, line in enumerate(lines):
        top = number * height
        for start, name, colour in line:
            pen.rectangle((start, top, start + SWATCH - 1, top + SWATCH - 1), fill=colour)
            pen.text((start + SWATCH + GAP // 2, top - 2), name, fill=INK, font=face)
    return block


def below(image: Image.Image, under: Image.Image) -> Image.Image:
    """Put one image under another."""
    joined = Image.new("RGB", (image.width, image.height + under.height), PAPER)
    joined.paste(image, (0, 0))
    joined.paste(under, (0, image.height))
    return joined
