"""Curves of one or several models as charts, with their 95 % bands."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from PIL import Image

from vitrail.stress.figures import CurveFigures, ModelFigures
from vitrail.stress.panels import Panel
from vitrail.stress.patch_study import PatchFigures
from vitrail.stress.published import PUBLISHED
from vitrail.visualize.curves import COLOURS, INK, QUIET, plain

STYLES = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (5, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D")


def draw_panels(panels: Sequence[Panel], models: Sequence[ModelFigures]) -> Image.Image | None:
    """Draw the charts of a family of curves; None where no model has any of them.

    Args:
        panels: the charts.
        models: those that are compared; of several, colours tell models apart and strokes curves.
    """
    shown = [panel for panel in panels if panel.shown(models)]
    if not shown:
        return None
    small = len(shown) > 4
    lines = len(models) if small else max(len(panel.shown(models)) for panel in shown) * len(models) + 1
    with _canvas(len(shown), small, lines=lines) as (axes, to_image):
        for axis, panel in zip(axes, shown, strict=False):
            _draw_panel(axis, panel, models, small)
    return to_image()


def draw_conflict(models: Sequence[ModelFigures]) -> Image.Image | None:
    """Draw whose class is named where shape and texture disagree: two curves of each model."""
    shown = [model for model in models if model.conflict]
    if not shown:
        return None
    with _canvas(1, False, "named, % of images", 2 * len(shown)) as (axes, to_image):
        for number, model in enumerate(shown):
            levels = [point.level for point in model.conflict]
            for kind, (name, attribute) in enumerate((("shape's class", "shape"), ("texture's class", "texture"))):
                values = [getattr(point, attribute) for point in model.conflict]
                label = name if len(shown) == 1 else f"{model.name}: {name}"
                colour = COLOURS[(kind if len(shown) == 1 else number) % len(COLOURS)]
                _line(axes[0], levels, values, label, colour, STYLES[0 if len(shown) == 1 else kind])
        _frame(axes[0], "Shape against texture", "strength of the foreign texture")
        _legend(axes[0])
    return to_image()


def draw_patches(patches: Sequence[PatchFigures]) -> Image.Image | None:
    """Draw accuracy over the area of a patch: trained on the model itself, on another one, and random."""
    models = list(dict.fromkeys(one.model for one in patches))
    if not models:
        return None
    with _canvas(len(models), False, lines=2 * len(models) + 1) as (axes, to_image):
        for axis, model in zip(axes, models, strict=False):
            own = [one for one in patches if one.model == model]
            _patch_lines(axis, own)
            _frame(axis, model, "share of the image under the patch, %")
            _legend(axis)
    return to_image()


def _patch_lines(axis: Any, patches: Sequence[PatchFigures]) -> None:
    first = sorted({one.area: one for one in patches}.values(), key=lambda one: one.area)
    _line(
        axis,
        [0.0, *(100 * one.area for one in first)],
        [first[0].clean, *(one.random for one in first)],
        "random patch",
        QUIET,
        STYLES[2],
    )
    kinds = dict.fromkeys((one.trained_on, one.target) for one in patches)
    for number, (trained_on, target) in enumerate(kinds):
        chosen = sorted(
            (one for one in patches if (one.trained_on, one.target) == (trained_on, target)), key=lambda one: one.area
        )
        whose = "" if trained_on == chosen[0].model else f", trained on {trained_on}"
        label = f"adversarial{f', for {target}' if target else ''}{whose}"
        levels, values = [100 * one.area for one in chosen], [one.adversarial for one in chosen]
        _line(axis, [0.0, *levels], [chosen[0].clean, *values], label, COLOURS[number % len(COLOURS)], STYLES[0])


def _draw_panel(axis: Any, panel: Panel, models: Sequence[ModelFigures], small: bool) -> None:
    names = panel.shown(models)
    curve: CurveFigures | None = None
    for number, model in enumerate(models):
        for kind, (name, label) in enumerate(names):
            found = model.curve(name)
            if found is None:
                continue
            curve = found
            alone = len(models) == 1
            colour = COLOURS[(kind if alone else number) % len(COLOURS)]
            words = ", ".join(part for part in ("" if alone else model.name, label) if part)
            levels = [point.level for point in found.points]
            values = [_value(point, panel.measure) for point in found.points]
            _line(axis, levels, values, words, colour, STYLES[0 if alone else kind % len(STYLES)])
    assert curve is not None
    if panel.measure == "accuracy":
        _published(axis, [name for name, _ in names])
    _frame(axis, panel.title, "" if small else curve.axis)
    if panel.logarithmic:
        _logarithmic(axis, [point.level for point in curve.points])
    if not small or axis.get_subplotspec().num1 == 0:
        _legend(axis)


def _value(point: Any, measure: str) -> tuple[float, float, float]:
    if measure == "accuracy":
        return point.accuracy, point.low, point.high
    value = getattr(point, measure)
    return value, value, value


def _published(axis: Any, names: Sequence[str]) -> None:
    for one in PUBLISHED:
        if one.curve == names[0]:
            axis.plot(
                [one.level],
                [100 * one.accuracy],
                linestyle="",
                marker="*",
                markersize=11,
                color=INK,
                label="the paper's best (ImageNet)",
            )


def _line(
    axis: Any,
    levels: Sequence[float],
    values: Sequence[tuple[float, float, float]],
    label: str,
    colour: str,
    style: Any,
) -> None:
    middle, low, high = ([100 * one[n] for one in values] for n in range(3))
    axis.fill_between(levels, low, high, color=colour, alpha=0.13, linewidth=0)
    axis.plot(
        levels,
        middle,
        color=colour,
        linestyle=style,
        linewidth=1.8,
        marker="o",
        markersize=3.2,
        label=plain(label) or None,
        solid_capstyle="round",
    )


def _frame(axis: Any, title: str, label: str) -> None:
    axis.set_title(plain(title), loc="left", fontweight="bold", fontsize=11)
    axis.set_xlabel(label, color=QUIET, loc="right")
    axis.set_ylim(-3, 103)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#b9bcc6")
    axis.tick_params(colors=QUIET, length=3)
    axis.grid(axis="y", color="#e7e8ec", linewidth=0.8)
    axis.set_axisbelow(True)


def _logarithmic(axis: Any, levels: Sequence[float]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(levels, [f"{level:g}" for level in levels])
    axis.minorticks_off()


def _legend(axis: Any) -> None:
    if axis.get_legend_handles_labels()[1]:
        axis.legend(frameon=False, fontsize=8.5, labelcolor=INK, loc="upper left", bbox_to_anchor=(-0.02, -0.2))


@contextmanager
def _canvas(
    count: int, small: bool, label: str = "accuracy, %", lines: int = 2
) -> Iterator[tuple[list[Any], Callable[[], Image.Image]]]:
    """Give the axes of so many charts, and a function that returns the image once they are drawn.

    Args:
        count: how many charts.
        small: whether they are of a smaller kind, of which only the first has a legend.
        label: what is measured.
        lines: of a chart's legend.
    """
    # Not pyplot: its figures are global, and a server draws in several threads.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(count, 4 if small else 3 if count == 3 else 2)
    rows = math.ceil(count / columns)
    wide, tall = (2.9, 2.3) if small else ({1: 8.0, 2: 5.4, 3: 4.4}[columns], 3.5 + 0.2 * lines)
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "axes.unicode_minus": True}):
        canvas = Figure(figsize=(wide * columns, tall * rows), dpi=150, layout="constrained", facecolor="white")
        canvas.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[union-attr]
        FigureCanvasAgg(canvas)
        axes = list(canvas.subplots(rows, columns, squeeze=False).flatten())
        for axis in axes[count:]:
            axis.axis("off")
        canvas.supylabel(label, fontsize=10, color=QUIET)

        def to_image() -> Image.Image:
            buffer = io.BytesIO()
            canvas.savefig(buffer, format="png")
            return Image.open(buffer).convert("RGB")

        yield axes, to_image


__all__ = ["draw_conflict", "draw_panels", "draw_patches"]
