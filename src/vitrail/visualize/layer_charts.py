"""What each block represents, as charts: how alike blocks are, and how well classes are told apart after each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image
from torch import Tensor

from vitrail.explain.methods import METHODS
from vitrail.explain.sanity import RandomisedMap
from vitrail.visualize.chart import block_ticks, chart, colour_bar, dress
from vitrail.visualize.curves import COLOURS, INK, QUIET, plain


def draw_similarities(tables: Mapping[tuple[str, str], Tensor], images: int) -> Image.Image:
    """Draw how alike blocks are, from 0 to 1: a table for each pair of models, or a model with itself.

    Args:
        tables: by the names of the models down and across, ``(L, L')``.
        images: over how many.
    """

    def draw(axes: Any) -> None:
        for axis, ((down, across), table) in zip(axes, tables.items(), strict=True):
            values = table.clamp(0, 1).numpy()
            # As wide as it is high however many blocks the other model has: else a title would be cut off.
            shown = axis.imshow(values, cmap="viridis", vmin=0, vmax=1, origin="lower", aspect="auto")
            title = "CKA of its blocks" if down == across else "CKA of both models' blocks"
            dress(axis, f"{title}, {images} images", f"block of {plain(across)}", grid=False)
            axis.set_ylabel(f"block of {plain(down)}", color=QUIET, loc="top")
            for count, place in ((table.shape[1], axis.set_xticks), (table.shape[0], axis.set_yticks)):
                place(range(0, count, max(1, -(-count // 12))))
            colour_bar(axis, shown)

    return chart(draw, len(tables), width=4.9, height=4.1)


def draw_neighbours(models: Mapping[str, Tensor], images: int, classes: int) -> Image.Image:
    """Draw the share of images that their nearest neighbours name correctly after each block, in percent."""

    def draw(axes: Any) -> None:
        for number, (name, shares) in enumerate(models.items()):
            values = [100 * share for share in shares.tolist()]
            label = plain(name) if len(models) > 1 else None
            axes[0].plot(
                range(len(values)), values, "o-", color=COLOURS[number], linewidth=1.9, markersize=5, label=label
            )
        axes[0].axhline(100 / classes, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        axes[0].annotate("by chance", (0, 100 / classes), (0, 3), textcoords="offset points", color=QUIET, fontsize=9)
        dress(axes[0], f"k-NN accuracy by block, %, {images} images of {classes} classes", "block")
        block_ticks(axes[0], max(map(len, models.values())))
        axes[0].set_ylim(0, 102)
        if len(models) > 1:
            beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # where no curve can run
            axes[0].legend(frameon=False, fontsize=9, labelcolor=INK, **beside)

    return chart(draw, 1, width=6.4 if len(models) == 1 else 7.6)


def draw_sanity(checks: Mapping[str, Sequence[RandomisedMap]]) -> Image.Image:
    """Draw how much of a map's order is left as layers are randomised, from the head down.

    Args:
        checks: for each method's name, what `sanity_check` gave.
    """

    def draw(axes: Any) -> None:
        axis = axes[0]
        for number, (name, maps) in enumerate(checks.items()):
            means = [1.0, *(float(one.correlation.mean()) for one in maps)]
            least = [1.0, *(float(one.correlation.min()) for one in maps)]
            most = [1.0, *(float(one.correlation.max()) for one in maps)]
            axis.fill_between(range(len(means)), least, most, color=COLOURS[number], alpha=0.15, linewidth=0)
            axis.plot(
                range(len(means)),
                means,
                "o-",
                color=COLOURS[number],
                linewidth=1.9,
                markersize=4,
                label=METHODS[name].title,
            )
        layers = [one.layer for one in next(iter(checks.values()))]
        names = ["none", "head", *(f"block {layer - 1}" for layer in layers[1:-1]), "embedding"]
        step = max(1, -(-len(names) // 18))
        axis.set_xticks(range(0, len(names), step), names[::step], rotation=40, ha="right")
        axis.axhline(0, color=QUIET, linewidth=0.8)
        axis.set_ylim(-1.05, 1.05)
        dress(axis, "rank correlation with the trained model's map", "layers randomised, from the head down to")
        axis.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))

    return chart(draw, 1, width=9.4, height=4.4)


def sanity_data(maps: Sequence[RandomisedMap]) -> list[dict[str, Any]]:
    """Return what is drawn as plain numbers."""
    return [{"randomised_down_to_layer": one.layer, "rank_correlation": one.correlation.tolist()} for one in maps]
