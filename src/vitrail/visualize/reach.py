"""How far the heads of models look, and how evenly, as charts: one model, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.explain.attention_distance import AttentionReach
from vitrail.visualize.chart import block_ticks, chart, dress
from vitrail.visualize.curves import COLOURS, INK, QUIET, plain

BAND = (0.05, 0.95)
"""Quantiles over the images between which the bar of a head is drawn."""


def draw_reach(models: Mapping[str, AttentionReach]) -> Image.Image:
    """Draw mean attention distance (ViT, figure 7 right and figure 11) and entropy of each head, block by block.

    Args:
        models: for each model's name, what was measured.
    """

    images = len(next(iter(models.values())).distance[0])

    def draw(axes: Any) -> None:
        for number, reach in enumerate(models.values()):
            beside = min(0.3, 0.8 / len(models)) * (number - (len(models) - 1) / 2)
            colour = COLOURS[number % len(COLOURS)]
            _heads(axes[0], reach.distance, reach.even_distance, colour, beside)
            _heads(axes[1], reach.entropy, reach.even_entropy, colour, beside)
        depth = max(len(reach.distance) for reach in models.values())
        for axis, title in zip(axes, ("mean attention distance, pixels", "attention entropy, nats"), strict=True):
            dress(axis, title, "block")
            block_ticks(axis, depth)
            axis.set_ylim(bottom=0)
        _explain(axes[0], list(models), images)
        axes[0].legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(-0.02, -0.13))

    lines = 3 + (len(models) if len(models) > 1 else 0)
    return chart(draw, 2, height=3.8 + 0.2 * (lines + 1), width=5.4 + 0.8 * (len(models) - 1))


def _heads(axis: Any, layers: tuple[Tensor, ...], even: tuple[float, ...], colour: str, beside: float) -> None:
    """Draw a dot for each head of each block, a bar over the images, and the line of an even share."""
    for block, values in enumerate(layers):
        numbers = values.double().numpy()
        places = np.full(numbers.shape[1], block + beside)
        if len(numbers) > 1:
            low, high = np.quantile(numbers, BAND, axis=0)
            axis.vlines(places, low, high, color=colour, alpha=0.28, linewidth=2.2)
        axis.plot(places, numbers.mean(axis=0), "o", color=colour, markersize=4, alpha=0.85, zorder=3)
    axis.plot(np.arange(len(even)) + beside, even, color=colour, linewidth=1.1, linestyle=(0, (4, 3)))


def _explain(axis: Any, names: list[str], images: int) -> None:
    """Enter into the legend what dots, bars and lines are, and of several models which colour is whose."""
    colour = COLOURS[0] if len(names) == 1 else QUIET
    for number, name in enumerate(names if len(names) > 1 else []):
        axis.plot([], [], "o", color=COLOURS[number % len(COLOURS)], markersize=6, label=plain(name))
    what = f"one head, mean over {images} image{'s' if images > 1 else ''}"
    axis.plot([], [], "o", color=colour, markersize=4, alpha=0.85, label=what)
    if images > 1:
        axis.plot([], [], color=colour, alpha=0.28, linewidth=2.2, label=f"5 to 95 % of the {images} images")
    axis.plot(
        [], [], color=colour, linewidth=1.1, linestyle=(0, (4, 3)), label="an even share at every patch it can see"
    )


def reach_data(reach: AttentionReach) -> dict[str, Any]:
    """Return what is drawn as plain numbers: by block, head and image."""
    return {
        "unit": {"distance": "pixels of the input", "entropy": "nats"},
        "distance": [layer.T.tolist() for layer in reach.distance],
        "entropy": [layer.T.tolist() for layer in reach.entropy],
        "even_distance": list(reach.even_distance),
        "even_entropy": list(reach.even_entropy),
    }
