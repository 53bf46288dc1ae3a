"""Position embeddings as images: how alike any two places are, and what heads add by offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vitrail.visualize.chart import chart, colour_bar, dress
from vitrail.visualize.curves import QUIET as QUIET_HEX
from vitrail.visualize.draw import PAPER, QUIET, TEXT_SIZE, Tile, font, sheet
from vitrail.visualize.scales import bias_legend, bias_map, coloured, scale_legend

SIDE = 900
MOST_TILES = 16
"""Rows and columns of tiles at most; of a finer grid every second, third, ... place is drawn."""

COLOURS = "cividis"


def draw_similarity(values: Tensor) -> Image.Image:
    """Draw the cosine similarity of positions ``(h, w, h, w)``: a tile for each place (ViT, figure 7 centre)."""
    h, w = values.shape[:2]
    step = -(-max(h, w) // MOST_TILES)
    rows, columns = range(0, h, step), range(0, w, step)
    tile = max(1, SIDE // max(len(rows), len(columns)) // max(h, w)) * max(h, w)
    scale, gap, margin = tile // max(h, w), 4, 3 * TEXT_SIZE
    face = font(TEXT_SIZE - 5)
    size = (margin + len(columns) * (w * scale + gap), margin + len(rows) * (h * scale + gap))
    grid = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(grid)
    for across, column in enumerate(columns):
        _number(pen, str(column), margin + across * (w * scale + gap) + w * scale / 2, margin - 14, face)
    for down, row in enumerate(rows):
        top = margin + down * (h * scale + gap)
        _number(pen, str(row), margin - 16, top + h * scale / 2, face)
        for across, column in enumerate(columns):
            pixels = np.kron(colours_of(values[row, column]), np.ones((scale, scale, 1), np.uint8))
            grid.paste(Image.fromarray(pixels), (margin + across * (w * scale + gap), top))
    pen.text((margin, 2), "column", fill=QUIET, font=face)
    pen.text((2, margin - 22), "row", fill=QUIET, font=face)
    every = "each place" if step == 1 else f"every {step}. place"
    note = (
        f"A tile for {every} of the {h}x{w} grid of patches: how alike its position embedding is to that of every "
        "place, laid out as the image is. Places that are near one another, or in the same row or column, are alike "
        "where the model has learned the shape of the image."
    )
    legend = scale_legend(COLOURS, ["-1", "-0.5", "0", "+0.5", "+1"], "cosine similarity of two position embeddings")
    return sheet([[Tile(grid)]], note=note, legend=legend)


def colours_of(similarity: Tensor) -> np.ndarray:
    """Return the colours of similarities ``(h, w)`` in [-1, 1], uint8 ``(h, w, 3)``."""
    return (255 * coloured(COLOURS, ((similarity + 1) / 2).clamp(0, 1).numpy())).round().astype(np.uint8)


def _number(pen: ImageDraw.ImageDraw, text: str, x: float, y: float, face) -> None:  # type: ignore[no-untyped-def]
    pen.text((x, y), text, fill=QUIET, font=face, anchor="mm")


def draw_biases(tables: Sequence[Tensor]) -> Image.Image:
    """Draw the biases of a model's blocks by offset, a row for each block ``(K, 2h - 1, 2w - 1)``, at most 12 heads."""
    heads = min(12, max(len(table) for table in tables))
    rows: list[Sequence[Tile | None]] = [
        [Tile(bias_map(head.detach().float().cpu(), 96), f"block {number}, head {k}") for k, head in enumerate(table)][
            :heads
        ]
        for number, table in enumerate(tables)
    ]
    note = (
        "What each head adds to its scores by where a key lies from its query, which stands in the middle: to its "
        "right the key to the right. A head with one dark red spot beside the middle looks at that neighbour."
    )
    return sheet(rows, note=note, legend=bias_legend())


def draw_frequencies(turns: Tensor, patches: int) -> Image.Image:
    """Draw the angles by which rotary positions turn each pair of channels along an axis of so many patches."""
    places = 2 * (torch.arange(patches) + 0.5) / patches - 1
    angles = 2 * torch.pi * turns.unsqueeze(1) * places

    def draw(axes: Any) -> None:
        (axis,) = axes
        shown = axis.imshow(angles.cos().numpy(), cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
        dress(axis, "cosine of the angle by which a pair of channels is turned", "patch along an axis", grid=False)
        axis.set_ylabel("pair of channels, the fastest first", color=QUIET_HEX, loc="top")
        axis.set_xticks(range(0, patches, max(1, -(-patches // 14))))
        axis.set_yticks(range(0, len(turns), max(1, -(-len(turns) // 16))))
        colour_bar(axis, shown)

    return chart(draw, 1, width=6.8)
