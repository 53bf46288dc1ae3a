"""Regions that answers hang on: in images, with what becomes of them; and how many images each region flips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.explain.shortcuts import Flips
from vitrail.visualize.chart import chart, dress
from vitrail.visualize.curves import COLOURS, INK, QUIET, plain
from vitrail.visualize.draw import Tile, enlarge, sheet, to_image

SIDE = 176
"""Pixels of the longer side of an image, about."""

EDGE = (225, 40, 200)
"""Of the line around a region: a colour that is rare in photographs, and light enough for dark ones."""

MOST_BARS = 3
"""Regions of a class in the chart that do not stand out."""

Bar = tuple[str, Flips, Flips | None, bool]
"""A region: its name, what it flips, what one elsewhere flips where that is known, and whether it stands out."""


@dataclass(frozen=True)
class Example:
    """One image with a region.

    Attributes:
        image: ``(C, H, W)``, normalised.
        hidden: ``(H, W)`` bool, the region.
        filled: ``(C, H, W)``, with the region filled in.
        name: of the image's file.
        before, after: the classes that the model gives both.
    """

    image: Tensor
    hidden: Tensor
    filled: Tensor
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class ShortcutRow:
    """One region of one class.

    Attributes:
        label: the class.
        region: what it is called.
        count: how many images it flips, in words.
        stands_out: whether the class hangs on it.
        examples: images that have it.
    """

    label: str
    region: str
    count: str
    stands_out: bool
    examples: Sequence[Example]


def draw_shortcuts(rows: Sequence[ShortcutRow], mean: Sequence[float], std: Sequence[float], note: str) -> Image.Image:
    """Draw regions in images, each beside the image with the region filled in.

    Args:
        rows: the regions, a row each.
        mean, std: with which the images were normalised.
        note: what was found, below.
    """
    drawn: list[list[Tile | None]] = []
    for row in rows:
        tiles: list[Tile | None] = []
        for example in row.examples:
            before, after = (enlarge(to_image(one, mean, std), SIDE, 384) for one in (example.image, example.filled))
            marked = outlined(before.convert("RGB"), example.hidden)
            said = f"{row.label}: {row.region}\n{row.count}" if not tiles else example.name
            tiles += [Tile(marked, said), Tile(after, _changed(example))]
        drawn.append(tiles)
    return sheet(
        drawn, columns=["region", "filled in"] * max((len(row.examples) for row in rows), default=0), note=note
    )


def _changed(example: Example) -> str:
    return f"{example.before} stays" if example.before == example.after else f"{example.before} to {example.after}"


def outlined(image: Image.Image, hidden: Tensor) -> Image.Image:
    """Draw a line around a region ``(H, W)`` of an image that is as large or larger."""
    mask = np.asarray(
        Image.fromarray(hidden.numpy().astype(np.uint8) * 255).resize(image.size, Image.Resampling.NEAREST)
    )
    inside = np.pad(mask > 0, 2)
    core = inside.copy()
    for down in (-2, -1, 0, 1, 2):
        for across in (-2, -1, 0, 1, 2):
            core &= np.roll(inside, (down, across), axis=(0, 1))
    pixels = np.array(image)
    pixels[(inside & ~core)[2:-2, 2:-2]] = EDGE
    return Image.fromarray(pixels)


def draw_flips(classes: Sequence[tuple[str, Sequence[Bar]]]) -> Image.Image:
    """Draw the share of images that each region flips, with 95 % intervals, class by class.

    Args:
        classes: the name of each, and its regions, those first that stand out, then by the images they flip.
    """
    lines = [(label, bar) for label, bars in classes for bar in _kept(bars)]

    def draw(axes: Any) -> None:
        axis = axes[0]
        for row, (_, (_, flips, random, stands_out)) in enumerate(lines):
            colour = COLOURS[1] if stands_out else COLOURS[0]
            _whisker(axis, row, flips, colour, "o")
            if random is not None:
                _whisker(axis, row + 0.28, random, QUIET, "s")
        axis.set_ylim(len(lines) - 0.4, -0.7)
        axis.set_xlim(-2, 102)
        dress(axis, "images that get another answer, %", "share of the images that have the region", grid=False)
        axis.set_yticks(range(len(lines)), [plain(f"{label}: {bar[0]}") for label, bar in lines], fontsize=8)
        for tick, (_, bar) in zip(axis.get_yticklabels(), lines, strict=True):
            tick.set_color(COLOURS[1] if bar[3] else INK)
        axis.grid(axis="x", color="#e7e8ec", linewidth=0.8)
        marks = [("o", COLOURS[1], "stands out"), ("o", COLOURS[0], "does not"), ("s", QUIET, "same shape elsewhere")]
        for mark, colour, label in marks:
            axis.plot([], [], mark, color=colour, label=label, markersize=5)
        axis.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(-0.02, -0.06), ncols=3)

    return chart(draw, 1, width=9.0, height=1.4 + 0.3 * len(lines))


def _kept(bars: Sequence[Bar]) -> list[Bar]:
    outstanding = [bar for bar in bars if bar[3]]
    return outstanding + [bar for bar in bars if not bar[3]][:MOST_BARS]


def _whisker(axis: Any, row: float, flips: Flips, colour: str, mark: str) -> None:
    low, high = flips.interval
    axis.hlines(row, 100 * low, 100 * high, color=colour, alpha=0.45, linewidth=2.0)
    axis.plot([100 * flips.share], [row], mark, color=colour, markersize=5)


__all__ = ["Example", "ShortcutRow", "draw_flips", "draw_shortcuts", "outlined"]
