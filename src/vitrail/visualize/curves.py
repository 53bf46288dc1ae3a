"""The curves of one run, or of several side by side."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from vitrail.console import figure, is_share
from vitrail.visualize.draw import writable

Row = Mapping[str, Any]

# What counts along a run, or names a row, and is no measurement.
NOT_MEASURED = frozenset({"step", "epoch", "time", "seconds", "kind"})

# Distinguishable also to eyes that mix up red and green: the colours of a stained-glass window, darkened for white.
COLOURS = ("#2a4d9b", "#b3282d", "#c98a12", "#2c7a5b", "#6d3f8f", "#3f7f93")

INK, QUIET = "#1c1e26", "#686c78"

SMOOTHED_FROM = 60  # Points from which a noisy curve is drawn smoothed over itself.


@dataclass(frozen=True)
class Curve:
    """One line of a plot: values by step, in the order of the steps.

    Attributes:
        run: whose, empty when there is only one run.
        source: what stands before the measurement's name, such as ``validation``; empty for training.
        measure: what is measured, such as ``loss``.
        lost: how many values were no finite numbers.
    """

    run: str
    source: str
    measure: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    lost: int = 0


def read_curves(rows: Sequence[Row], run: str = "") -> list[Curve]:
    """Sort the rows of a metrics file into curves.

    Args:
        rows: dicts with ``step`` and any finite numbers; ``validation/loss`` is the measurement ``loss`` of the
            source ``validation``. Everything else, and rows without a step, are left out; numbers that are not finite,
            and None in their place, are counted.
        run: the run's name.
    """
    points: dict[str, dict[float, float]] = {}
    lost: Counter[str] = Counter()
    for row in rows:
        for key, value in row.items():
            if not _is_finite(row.get("step")) or key in NOT_MEASURED:
                continue
            if _is_finite(value):
                points.setdefault(key, {})[float(row["step"])] = float(value)
            else:
                lost[key] += value is None or isinstance(value, float)
    curves = []
    for key, by_step in points.items():
        source, _, measure = key.rpartition("/")
        steps = tuple(sorted(by_step))
        curves.append(Curve(run, source, measure, steps, tuple(by_step[step] for step in steps), lost[key]))
    return curves


def draw_curves(
    runs: Sequence[Row] | Mapping[str, Sequence[Row]], *, title: str = "", measures: Sequence[str] | None = None
) -> Image.Image:
    """Plot what was measured along a run: one plot for each measurement, training and validation together.

    Args:
        runs: the rows of one run's ``metrics.jsonl``, or those of several runs by name, to compare them.
        title: one line on top.
        measures: what to plot, such as ``("loss", "top1")``; everything when absent, loss first and rates last.

    Returns:
        An RGB image on white; without a single measurement, one that says so.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    curves = [curve for name, rows in named.items() for curve in read_curves(rows, name)]
    found = sorted({curve.measure for curve in curves}, key=_importance)
    chosen = [name for name in measures if name in found] if measures is not None else found
    return _plot([[curve for curve in curves if curve.measure == name] for name in chosen], list(named), title)


def _plot(plots: Sequence[Sequence[Curve]], runs: Sequence[str], title: str) -> Image.Image:
    # Not pyplot: its figures are global, and a server draws in several threads.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sources = sorted({curve.source for curves in plots for curve in curves})
    last = max((curve.steps[-1] for curves in plots for curve in curves), default=1.0)
    columns = min(2, max(1, len(plots)))
    lines = max(1, math.ceil(len(plots) / columns))
    with rc_context({"font.family": "DejaVu Sans", "font.size": 10, "axes.unicode_minus": True}):
        legend = 0.22 * max(map(len, plots), default=0) if len(runs) > 1 else 0.0
        canvas = Figure(
            figsize=(5.4 * columns, (3.3 + legend) * lines), dpi=160, layout="constrained", facecolor="white"
        )
        canvas.get_layout_engine().set(w_pad=0.14, h_pad=0.14)  # type: ignore[union-attr]
        FigureCanvasAgg(canvas)
        if title:
            canvas.suptitle(plain(title), x=0.013, ha="left", fontsize=13, fontweight="bold", color=INK)
        axes = canvas.subplots(lines, columns, squeeze=False).flatten()
        for axis, curves in zip(axes, plots, strict=False):
            _plot_one(axis, curves, runs, sources)
            axis.set_xlim(-0.02 * last, 1.02 * last)
        for axis in axes[len(plots) :]:
            axis.axis("off")
        if not plots:
            axes[0].text(0.5, 0.5, "nothing was measured yet", ha="center", va="center", color=QUIET)
        buffer = io.BytesIO()
        canvas.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _plot_one(axis: Any, curves: Sequence[Curve], runs: Sequence[str], sources: Sequence[str]) -> None:
    """Draw all curves of one measurement: colours tell runs apart, or sources when there is only one run."""
    measure = curves[0].measure
    percent = _is_share(curves)
    evaluated = any(curve.source for curve in curves)
    for curve in curves:
        order = runs.index(curve.run) if len(runs) > 1 else sources.index(curve.source)
        values = [100 * value for value in curve.values] if percent else list(curve.values)
        quiet = len(runs) > 1 and evaluated and not curve.source
        _draw_line(axis, curve, values, COLOURS[order % len(COLOURS)], quiet)
    axis.set_xlabel("step", color=QUIET, loc="right")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#b9bcc6")
    axis.tick_params(colors=QUIET, length=3)
    axis.grid(axis="y", color="#e7e8ec", linewidth=0.8)
    axis.set_axisbelow(True)
    smallest, largest = _range(curves)
    logarithmic = smallest > 0 and largest > 50 * smallest and not measure.endswith("lr")
    notes = ["%"] * percent + ["log scale"] * logarithmic
    lost = sum(curve.lost for curve in curves)
    notes += [f"{lost:,} values not finite, left out"] * (lost > 0)
    title = measure.replace("_", " ") + (f" ({', '.join(notes)})" if notes else "")
    axis.set_title(plain(title), loc="left", fontweight="bold", fontsize=11)
    if measure.endswith("lr"):
        axis.yaxis.set_major_formatter("{x:g}")
    elif logarithmic:
        axis.set_yscale("log")
    else:
        axis.set_ylim(*limits(axis.get_ylim(), percent))
    if len(curves) > 1 or evaluated:
        below = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.12)} if len(runs) > 1 else {}
        axis.legend(frameon=False, fontsize=9, labelcolor=INK, **below)


def _draw_line(axis: Any, curve: Curve, values: list[float], colour: str, quiet: bool) -> None:
    best = _best(curve, values)
    name = ", ".join(part for part in (curve.run, curve.source or "training") if part)
    noisy = len(values) >= SMOOTHED_FROM and curve.measure != "lr"
    label = plain(name) + (" (smoothed)" if noisy else "")
    label += "" if best is None else f": best {figure(curve.measure, curve.values[best])}"
    style = {"color": colour, "label": label, "solid_capstyle": "round"}
    if noisy:
        axis.plot(curve.steps, values, color=colour, alpha=0.18, linewidth=0.9)
        axis.plot(curve.steps, smoothed(values), linewidth=1.2 if quiet else 1.9, alpha=0.6 if quiet else 1.0, **style)
    else:
        marker = {"marker": "o", "markersize": 3.5} if len(values) <= 40 and curve.source else {}
        axis.plot(
            curve.steps,
            values,
            linewidth=1.2 if quiet else 1.9,
            linestyle=(0, (4, 2)) if quiet else "-",
            **marker,
            **style,
        )
    if best is not None:
        axis.plot(curve.steps[best], values[best], "o", color="white", markeredgecolor=colour, markersize=7, zorder=3)


def limits(found: tuple[float, float], percent: bool) -> tuple[float, float]:
    """Widen the limits of an axis until noise fills no more than a part of it.

    An axis of shares covers at least `LEAST_POINTS` points between 0 and 100, any other at least `LEAST_SPAN` of its
    largest value: else 50.1 % and 50.2 % would look like the difference between nothing and everything.
    """
    low, high = found
    least = LEAST_POINTS if percent else LEAST_SPAN * max(abs(low), abs(high))
    missing = max(0.0, least - (high - low)) / 2
    low, high = low - missing, high + missing
    if percent and low < 0:
        low, high = 0.0 - (high - low) / 50, high - low
    if percent and high > 102:
        low, high = max(0.0, low - (high - 102)), 102.0
    return low, high


LEAST_POINTS, LEAST_SPAN = 5.0, 0.05


def plain(text: str) -> str:
    """Return text as matplotlib sets it as it is: names hold dollar signs, which would begin a formula."""
    text = writable(text)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"
    # A label that begins with an underscore would be left out of the legend.
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


LONGEST = 60
"""Letters of a title or a run's name; of a longer one the middle is left out."""


def smoothed(values: Sequence[float]) -> list[float]:
    """Average each value with its neighbours, a fortieth of the curve to each side."""
    reach = max(1, len(values) // 40)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    windows = [(max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values))]
    return [(sums[end] - sums[start]) / (end - start) for start, end in windows]


def _best(curve: Curve, values: Sequence[float]) -> int | None:
    """Return where an evaluated measurement was best, if it is known which way is better."""
    if not curve.source or not values:
        return None
    if "loss" in curve.measure:
        return min(range(len(values)), key=values.__getitem__)
    return max(range(len(values)), key=values.__getitem__) if _is_rate(curve.measure) else None


def _is_rate(measure: str) -> bool:
    return is_share(measure) or re.fullmatch(r"(.*_)?(recall|precision|m?ap\d*|m?iou|f1)", measure.lower()) is not None


def _is_share(curves: Sequence[Curve]) -> bool:
    return _is_rate(curves[0].measure) and _range(curves)[1] <= 1.0


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    values = [value for curve in curves for value in curve.values]
    return min(values), max(values)


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _importance(measure: str) -> tuple[int, str]:
    """Sort key: the loss first, then what is better the higher, then the rest, learning rates last."""
    if "loss" in measure:
        return (0 if measure == "loss" else 1, measure)
    return (2 if _is_rate(measure) else 4 if measure.endswith("lr") else 3, measure)
