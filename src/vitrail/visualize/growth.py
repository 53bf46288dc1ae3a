"""How the cost of models grows with the image, as curves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from PIL import Image

from vitrail.models.growth import Growth
from vitrail.visualize.curves import COLOURS, INK, QUIET


def draw_growth(models: Mapping[str, Sequence[Growth]]) -> Image.Image:
    """Plot attention by the Swin paper's two formulas and as counted, and whole models, over the size of the image.

    Args:
        models: for each model's name, what images of rising size cost it.

    Returns:
        An RGB image on white.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.family": "DejaVu Sans", "font.size": 10}):
        figure = Figure(figsize=(10.8, 4.2), dpi=160, layout="constrained", facecolor="white")
        figure.get_layout_engine().set(w_pad=0.14, h_pad=0.14)  # type: ignore[union-attr]
        FigureCanvasAgg(figure)
        attention, whole = figure.subplots(1, 2)
        for number, (name, rows) in enumerate(models.items()):
            colour, sizes = COLOURS[number % len(COLOURS)], [row.image_size for row in rows]
            style = {"color": colour, "linewidth": 1.9, "solid_capstyle": "round"}
            _line(
                attention, sizes, [row.msa for row in rows], f"{name}, equation 1 (MSA)", **style, linestyle=(0, (4, 2))
            )
            windowed = [row.window_msa for row in rows if row.window_msa is not None]
            if windowed:
                _line(attention, sizes, windowed, f"{name}, equation 2 (W-MSA)", **style)
            marks = {"marker": "o", "markersize": 5, "markerfacecolor": "white", "linestyle": "none", "color": colour}
            _line(attention, sizes, [row.counted for row in rows], f"{name}, counted", **marks)
            _line(whole, sizes, [row.total for row in rows], name, **style, marker="o", markersize=4)
        _dress(attention, "attention layers")
        attention.set_yscale("log")  # equation 1 would leave nothing to be seen of the others
        _dress(whole, "whole models")
        whole.set_ylim(bottom=0)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _line(axis: object, sizes: Sequence[int], values: Sequence[int], label: str, **style: object) -> None:
    axis.plot(sizes, [value / 1e9 for value in values], label=label, **style)  # type: ignore[attr-defined]


def _dress(axis, title: str) -> None:  # type: ignore[no-untyped-def]
    axis.set_title(f"{title}: GMAC of one image", loc="left", fontweight="bold", fontsize=11)
    axis.set_xlabel("side of the image, pixels", color=QUIET, loc="right")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color("#b9bcc6")
    axis.tick_params(colors=QUIET, length=3)
    axis.grid(axis="y", color="#e7e8ec", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, fontsize=9, labelcolor=INK)
