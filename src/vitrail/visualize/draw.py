"""Images of tensors: images, and sheets of captioned tiles."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

PAPER = (255, 255, 255)
INK = (28, 30, 38)
QUIET = (104, 108, 120)
HIDDEN = (148, 154, 172)  # The flat grey of a hidden patch, cool enough to stand out in a grey image.

GAP = 12
MARGIN = 28
TEXT_SIZE = 18


@dataclass(frozen=True)
class Tile:
    """An image with a caption below it; the caption's lines after the first are drawn quieter."""

    image: Image.Image
    caption: str = ""


def to_image(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Image.Image:
    """Turn a normalised image back into an image.

    Args:
        image: ``(C, H, W)``. One or two channels give a grey image of the first, more give a colour image of
            the first three.
        mean, std: per channel, of values in [0, 1].

    Returns:
        An image of mode L or RGB; values outside [0, 1] are clipped.
    """
    scale = (-1, 1, 1)
    values = image.detach().float().cpu() * torch.tensor(std).view(scale) + torch.tensor(mean).view(scale)
    shown = values[:3] if values.shape[0] >= 3 else values[:1]
    pixels = (shown.nan_to_num().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0])


def enlarge(image: Image.Image, at_least: int = 224, at_most: int = 384) -> Image.Image:
    """Bring an image's longer side between two lengths in pixels.

    A small image grows by a whole factor without smoothing, so that every pixel of it can be seen; a large one
    shrinks smoothly.
    """
    longest = max(image.size)
    if longest > at_most:
        share = at_most / longest
        size = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        return image.resize(size, Image.Resampling.LANCZOS)
    factor = -(-at_least // longest)
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def sheet(
    rows: Sequence[Sequence[Tile | None]],
    *,
    title: str = "",
    note: str = "",
    columns: Sequence[str] = (),
    legend: Image.Image | None = None,
    least_width: int = 480,
) -> Image.Image:
    """Arrange tiles in rows, under a title and above a note.

    Args:
        rows: tiles of one size or several; None leaves a place free.
        title: one line on top.
        note: running text at the bottom, wrapped.
        columns: headings over the columns.
        legend: the scale of the tiles' colours, drawn above the note.
        least_width: pixels that the note may take where the tiles take less.

    Returns:
        An RGB image on white.
    """
    tiles = [tile for row in rows for tile in row if tile is not None]
    width = max((tile.image.width for tile in tiles), default=1)
    count = max((len(row) for row in rows), default=1)
    inner = count * width + (count - 1) * GAP
    parts = [_text(title, inner, font(TEXT_SIZE + 6, bold=True), INK)] if title else []
    if columns:
        parts.append(_beside([_text(name, width, font(TEXT_SIZE, bold=True), INK) for name in columns], width))
    parts += [_beside([_tile(tile, width) for tile in row], width) for row in rows]
    if legend:
        parts.append(legend)
    if note:
        parts.append(_text(note, max(inner, least_width), font(TEXT_SIZE - 2), QUIET))
    return _framed(_stack(parts))


def contact_sheet(
    images: Sequence[Image.Image],
    captions: Sequence[str] = (),
    *,
    columns: int | None = None,
    title: str = "",
    note: str = "",
) -> Image.Image:
    """Arrange images in a grid, each enlarged where small, with a caption below.

    Args:
        images: of any sizes.
        captions: one for each image, or none.
        columns: images in a row; about a square, at most 8, when absent.
        title, note: as in `sheet`.
    """
    if columns is None:
        columns = min(8, max(1, int(np.ceil(len(images) ** 0.5))))
    texts = captions or [""] * len(images)
    tiles = [Tile(enlarge(image), text) for image, text in zip(images, texts, strict=True)]
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return sheet(rows, title=title, note=note)


@functools.lru_cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib, at a size in pixels."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def wrap(text: str, width: int, face: ImageFont.FreeTypeFont) -> list[str]:
    """Break text into lines of at most ``width`` pixels; of a longer word the middle is left out.

    What cannot be printed, as in file names of another encoding, becomes a question mark.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        paragraph = writable(paragraph)
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and face.getlength(longer) > width:
                lines.append(line)
                longer = word
            line = cut_in_the_middle(longer, width, face)
        lines.append(line)
    return lines


def writable(text: str) -> str:
    """Return text with a question mark for everything that cannot be printed on one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def cut_in_the_middle(text: str, width: int, face: ImageFont.FreeTypeFont) -> str:
    """Shorten text to ``width`` pixels by an ellipsis in its middle: names differ at their ends, and end in a kind."""
    text = writable(text)
    if face.getlength(text) <= width:
        return text
    kept = min(len(text), 2 * width // max(1, round(face.getlength("i"))))  # No more letters could fit.
    while kept > 0 and face.getlength(_without_middle(text, kept)) > width:
        kept -= 1
    return _without_middle(text, kept)


def _without_middle(text: str, kept: int) -> str:
    return f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"


def _text(
    text: str, width: int, face: ImageFont.FreeTypeFont, colour: tuple[int, int, int], centred: bool = False
) -> Image.Image:
    """Set wrapped text into an image of a given width."""
    lines = wrap(text, width, face)
    height = round(face.size * 1.35)
    block = Image.new("RGB", (width, height * len(lines)), PAPER)
    pen = ImageDraw.Draw(block)
    for index, line in enumerate(lines):
        left = (width - face.getlength(line)) / 2 if centred else 0
        pen.text((round(left), index * height), line, fill=colour, font=face)
    return block


def _tile(tile: Tile | None, width: int) -> Image.Image:
    if tile is None:
        return Image.new("RGB", (width, 1), PAPER)
    image = Image.new("RGB", (width, tile.image.height), PAPER)
    image.paste(tile.image.convert("RGB"), ((width - tile.image.width) // 2, 0))
    if not tile.caption:
        return image
    first, _, rest = tile.caption.partition("\n")
    face = font(TEXT_SIZE - 2)
    first = cut_in_the_middle(first, round(1.7 * width), face)  # Of a long file name no more than two lines.
    parts = [image, _text(first, width, face, INK, centred=True)]
    if rest:
        parts.append(_text(rest, width, font(TEXT_SIZE - 4), QUIET, centred=True))
    return _stack(parts, gap=4)


def _beside(parts: Sequence[Image.Image], width: int) -> Image.Image:
    block = Image.new("RGB", (len(parts) * (width + GAP) - GAP, max(part.height for part in parts)), PAPER)
    for index, part in enumerate(parts):
        block.paste(part, (index * (width + GAP), 0))
    return block


def _stack(parts: Sequence[Image.Image], gap: int = GAP) -> Image.Image:
    block = Image.new(
        "RGB",
        (max(part.width for part in parts), sum(part.height for part in parts) + gap * (len(parts) - 1)),
        PAPER,
    )
    top = 0
    for part in parts:
        block.paste(part, (0, top))
        top += part.height + gap
    return block


def _framed(image: Image.Image) -> Image.Image:
    framed = Image.new("RGB", (image.width + 2 * MARGIN, image.height + 2 * MARGIN), PAPER)
    framed.paste(image, (MARGIN, MARGIN))
    return framed
