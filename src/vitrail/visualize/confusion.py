"""A confusion matrix as an image: of all classes, or of many those that are confused most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vitrail.visualize.chart import chart, colour_bar, dress
from vitrail.visualize.curves import INK, QUIET, plain

MOST, CHOSEN = 30, 20
"""Classes that are all drawn, and how many of more are chosen."""

NUMBERED = 20
"""Classes up to which a cell says its images."""

LONGEST = 20
"""Letters of a name."""

OTHERS = "all others"


def chosen_classes(confusion: np.ndarray) -> list[int]:
    """Return the numbers of the classes that are drawn: all, or of many those of the most frequent mistakes, in order.

    Args:
        confusion: ``(K, K)`` whole numbers: images of class i called class j.
    """
    if len(confusion) <= MOST:
        return list(range(len(confusion)))
    wrong = confusion * (1 - np.eye(len(confusion), dtype=confusion.dtype))
    chosen: dict[int, None] = {}
    for cell in np.argsort(-wrong, axis=None, kind="stable"):
        pair = divmod(int(cell), len(confusion))
        if len(chosen | dict.fromkeys(pair)) > CHOSEN or not wrong[pair]:
            break
        chosen |= dict.fromkeys(pair)
    return sorted(chosen)


def draw_confusion(confusion: np.ndarray, names: Sequence[str], shares: bool = False) -> Image.Image | None:
    """Draw how the images of each class are called; of many classes the others are added up in a row and a column.

    Args:
        confusion: ``(K, K)`` whole numbers: images of class i called class j.
        names: of the K classes.
        shares: write shares of the class into the cells, in per cent, rather than counts.

    Returns:
        An image; None where there are many classes and no mistake to choose some by.
    """
    chosen = chosen_classes(confusion)
    if not chosen:
        return None
    counts, labels = confusion, list(names)
    if len(chosen) < len(names):
        counts = _with_others(confusion, chosen)
        labels = [*(names[number] for number in chosen), OTHERS]
    sizes = counts.sum(axis=1, keepdims=True)
    of_class = np.divide(100 * counts, sizes, out=np.full(counts.shape, np.nan), where=sizes > 0)
    side = max(3.6, 0.34 * len(labels) + 2.2)

    def draw(axes: Sequence[Any]) -> None:
        shown = axes[0].imshow(of_class, cmap="Blues", vmin=0, vmax=100)
        dress(axes[0], "", "called", grid=False)
        axes[0].set_ylabel("labelled", color=QUIET)
        ticks = [plain(shortened(label)) for label in labels]
        axes[0].set_xticks(range(len(ticks)), ticks, rotation=90, color=INK, fontsize=9)
        axes[0].set_yticks(range(len(ticks)), ticks, color=INK, fontsize=9)
        colour_bar(axes[0], shown)
        axes[0].figure.axes[-1].set_ylabel("% of the class", color=QUIET)
        if len(labels) <= NUMBERED + 1:
            _write_cells(axes[0], of_class.round() if shares else counts, of_class)

    return chart(draw, 1, width=side + 1.2, height=side)


def shortened(name: str) -> str:
    """Leave out the middle of a long name: names differ at their ends."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half + 1 :]}"


def _with_others(confusion: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Add up the rows and the columns of all other classes."""
    places = np.full(len(confusion), len(chosen))
    places[list(chosen)] = range(len(chosen))
    counts = np.zeros((len(chosen) + 1,) * 2, dtype=np.int64)
    rows, columns = np.nonzero(confusion)
    np.add.at(counts, (places[rows], places[columns]), confusion[rows, columns])
    return counts


def _write_cells(axis: Any, figures: np.ndarray, shares: np.ndarray) -> None:
    """Write whole numbers into the cells, white on dark ones; 0 is not written."""
    figures = np.nan_to_num(figures).astype(np.int64)
    size = 9 if figures.max() < 1000 else 7
    for row, column in zip(*np.nonzero(figures), strict=True):
        colour = "white" if shares[row, column] > 55 else INK
        axis.text(column, row, _short(int(figures[row, column])), ha="center", va="center", fontsize=size, color=colour)


def _short(count: int) -> str:
    """Write a count so that it fits into a cell: ``39k`` for thousands from 10,000 on."""
    return f"{count:,}" if count < 10_000 else f"{count // 1000:,}k"


__all__ = ["chosen_classes", "draw_confusion", "shortened"]
