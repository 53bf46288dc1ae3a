"""Figures with their 95 % intervals: reliability, classes, parts of the images; and lines of shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from vitrail.trust.intervals import Estimate
from vitrail.visualize.chart import chart, dress
from vitrail.visualize.confusion import shortened
from vitrail.visualize.curves import COLOURS, INK, QUIET, plain

PALE = "#c9ccd4"


@dataclass(frozen=True)
class Reliability:
    """Answers by how sure they are.

    Attributes:
        title: of the chart.
        edges: of the bins of confidence, M + 1 of them, from 0 to 1.
        images: of each bin.
        confidence: mean confidence of each bin; None without images.
        accuracy: share of right answers of each bin.
    """

    title: str
    edges: Sequence[float]
    images: Sequence[int]
    confidence: Sequence[float | None]
    accuracy: Sequence[Estimate]


def draw_reliability(charts: Sequence[Reliability]) -> Image.Image:
    """Draw accuracy over confidence, one chart beside the other; on the diagonal both are equal."""

    def draw(axes: Sequence[Any]) -> None:
        for axis, one in zip(axes, charts, strict=True):
            _draw_reliability(axis, one)
        axes[0].set_ylabel("%", color=QUIET)
        _legend(axes[0])

    return chart(draw, len(charts), width=4.6, height=5.0)


def _draw_reliability(axis: Any, one: Reliability) -> None:
    total = sum(one.images)
    widths = [100 * (b - a) for a, b in zip(one.edges[:-1], one.edges[1:], strict=True)]
    shares = [100 * count / total for count in one.images]
    lefts = [100 * edge for edge in one.edges[:-1]]
    axis.bar(lefts, shares, widths, align="edge", color=PALE, edgecolor="white", label="share of the images")
    axis.plot([0, 100], [0, 100], color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)), label="confidence = accuracy")
    places = [place for place, count in enumerate(one.images) if count]
    confidence = [100 * (one.confidence[place] or 0.0) for place in places]
    accuracy = [one.accuracy[place] for place in places]
    _whiskers(axis, confidence, accuracy, COLOURS[0], "accuracy, with its 95 % interval")
    dress(axis, one.title, "confidence, %")
    axis.set_xlim(0, 100)
    axis.set_ylim(0, 102)


def draw_parts(charts: Sequence[tuple[str, str, Sequence[tuple[str, int, Estimate]]]], overall: float) -> Image.Image:
    """Draw the accuracy of parts of the images.

    Args:
        charts: of each its title, what tells the parts apart, and for each part its name, its images and its accuracy.
        overall: accuracy on all images.
    """

    def draw(axes: Sequence[Any]) -> None:
        for axis, (title, across, parts) in zip(axes, charts, strict=True):
            axis.axhline(100 * overall, color=QUIET, linewidth=1.2, linestyle=(0, (4, 3)), label="all images")
            _whiskers(axis, range(len(parts)), [one for _, _, one in parts], COLOURS[0], "accuracy, 95 % interval")
            dress(axis, title, across)
            names = [f"{name}\n{images:,} images" for name, images, _ in parts]
            axis.set_xticks(range(len(parts)), names, color=INK, fontsize=8)
            axis.set_xlim(-0.5, len(parts) - 0.5)
        axes[0].set_ylabel("accuracy, %", color=QUIET)
        _legend(axes[0])

    return chart(draw, len(charts), width=5.8, height=4.2)


def draw_rows(
    names: Sequence[str], figures: Sequence[tuple[str, Sequence[Estimate]]], across: str = "%"
) -> Image.Image:
    """Draw several figures of each of some rows, such as classes, one row below the other.

    Args:
        names: of the rows, from the top.
        figures: of each its name, and what it is in each row.
        across: the unit.
    """

    def draw(axes: Sequence[Any]) -> None:
        axis, step = axes[0], 0.22
        for number, (label, values) in enumerate(figures):
            for row, one in enumerate(values):
                height = row + step * (number - (len(figures) - 1) / 2)
                _across(axis, height, one, COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
            axis.plot([], [], color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)], label=label)
        dress(axis, "", across, grid=False)
        axis.grid(axis="x", color="#e7e8ec", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.set_yticks(range(len(names)), [plain(shortened(name)) for name in names], color=INK, fontsize=9)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlim(-2, 102)
        _legend(axis)

    return chart(draw, 1, width=7.2, height=1.6 + (0.16 + 0.14 * len(figures)) * len(names))


def draw_lines(lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str) -> Image.Image:
    """Draw lines of shares over shares.

    Args:
        lines: by name, each from left to right, in [0, 1].
        across, up: what the axes are.
    """

    def draw(axes: Sequence[Any]) -> None:
        for number, (name, line) in enumerate(lines.items()):
            places, values = zip(*((100 * place, 100 * value) for place, value in line), strict=True)
            style, colour = STYLES[number // 3 % len(STYLES)], COLOURS[number % 3]
            axes[0].plot(places, values, color=colour, linestyle=style, linewidth=1.8, label=plain(name))
        dress(axes[0], "", across)
        axes[0].set_ylabel(up, color=QUIET)
        axes[0].set_xlim(0, 100)
        axes[0].set_ylim(0, 102)
        _legend(axes[0])

    return chart(draw, 1, width=6.4, height=4.8)


STYLES = ("-", (0, (5, 2)))
MOST_LINES = 6
"""Lines that can be told apart in a chart, by colour and stroke."""
MARKERS = ("o", "s", "^", "D")


def _whiskers(axis: Any, places: Sequence[float], values: Sequence[Estimate], colour: str, label: str) -> None:
    """Draw figures over their places, each with a line from one end of its interval to the other."""
    for place, one in zip(places, values, strict=True):
        if one.low is not None and one.high is not None:
            axis.plot([place, place], [100 * one.low, 100 * one.high], color=colour, linewidth=1.6, alpha=0.55)
    shown = [(place, 100 * one.value) for place, one in zip(places, values, strict=True) if one.value is not None]
    axis.plot(*zip(*shown, strict=True), color=colour, linestyle="", marker="o", markersize=5.5, label=label)


def _across(axis: Any, height: float, one: Estimate, colour: str, marker: str) -> None:
    if one.value is None:
        return
    if one.low is not None and one.high is not None:
        axis.plot([100 * one.low, 100 * one.high], [height, height], color=colour, linewidth=1.4, alpha=0.5)
    axis.plot([100 * one.value], [height], color=colour, marker=marker, markersize=4.5, linestyle="")


def _legend(axis: Any) -> None:
    axis.figure.legend(
        *axis.get_legend_handles_labels(), frameon=False, fontsize=9, labelcolor=INK, loc="outside lower left", ncols=3
    )


__all__ = ["MOST_LINES", "Reliability", "draw_lines", "draw_parts", "draw_reliability", "draw_rows"]
