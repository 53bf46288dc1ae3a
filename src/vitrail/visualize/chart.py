"""Charts that all look alike: a canvas, axes with one style, and the image of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from vitrail.visualize.curves import INK, QUIET, plain

Draw = Callable[[Sequence[Any]], None]
"""Draws into the axes of a canvas."""


def chart(draw: Draw, columns: int, *, width: float = 5.4, height: float = 4.0, title: str = "") -> Image.Image:
    """Draw charts side by side.

    Args:
        draw: is given the axes, from left to right.
        columns: how many.
        width, height: of each, in inches at 160 pixels.
        title: a line on top.

    Returns:
        An RGB image on white.
    """
    return _rendered(draw, columns, width, height, title)


def _rendered(draw: Draw, columns: int, width: float, height: float, title: str) -> Image.Image:
    # Not pyplot: its figures are global, and a server draws in several threads.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "axes.unicode_minus": True}):
        figure = Figure(figsize=(width * columns, height), dpi=160, layout="constrained", facecolor="white")
        figure.get_layout_engine().set(w_pad=0.14, h_pad=0.14)  # type: ignore[union-attr]
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(plain(title), x=0.013, ha="left", fontsize=13, fontweight="bold", color=INK)
        draw(figure.subplots(1, columns, squeeze=False)[0])
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def dress(axis: Any, title: str, across: str, grid: bool = True) -> None:
    """Give axes a title, the name of what runs from left to right, and the style of all charts."""
    axis.set_title(plain(title), loc="left", fontweight="bold", fontsize=11, color=INK)
    axis.set_xlabel(across, color=QUIET, loc="right")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#b9bcc6")
    axis.tick_params(colors=QUIET, length=3)
    if grid:
        axis.grid(axis="y", color="#e7e8ec", linewidth=0.8)
        axis.set_axisbelow(True)


def colour_bar(axis: Any, shown: Any) -> None:
    """Set the scale of the colours of an image beside it."""
    bar = axis.figure.colorbar(shown, ax=axis, shrink=0.85)
    bar.ax.tick_params(colors=QUIET, length=3)
    bar.outline.set_visible(False)


def block_ticks(axis: Any, depth: int) -> None:
    """Number the blocks of a model from 0 below an axis, not all of many."""
    step = max(1, -(-depth // 12))
    axis.set_xticks(range(0, depth, step))
    axis.set_xlim(-0.6, depth - 0.4)
