"""How far the heads of models look, and how evenly, as charts: one model, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.explain.attention_distance import AttentionReach
from vitrail.visualize.chart import block_ticks, chart, dress
from vitrail.visualize.curves import COLOURS, INK, plain

BAND = (0.05, 0.95)
"""Quantiles over the images between which the bar of a head is drawn."""


def draw_reach(models: Mapping[str, AttentionReach]) -> Image.Image:
    """Draw mean attention distance (ViT, figure 7 right and figure 11) and entropy of each head, block by block.

    Args:
        models: for each model's name, what was measured.
    """

    def draw(axes: Any) -> None:
        for number, (name, reach) in enumerate(models.items()):
            beside = min(0.3, 0.8 / len(models)) * (number - (len(models) - 1) / 2)
            colour = COLOURS[number % len(COLOURS)]
            _heads(axes[0], reach.distance, reach.even_distance, name if len(models) > 1 else "", colour, beside)
            _heads(axes[1], reach.entropy, reach.even_entropy, "", colour, beside)
        depth = max(len(reach.distance) for reach in models.values())
        for axis, title in zip(axes, ("mean attention distance, pixels", "attention entropy, nats"), strict=True):
            dress(axis, title, "block")
            block_ticks(axis, depth)
            axis.set_ylim(bottom=0)
        axes[0].legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left", bbox_to_anchor=(-0.02, -0.13))

    rows = 0.2 * (3 * len(models) + 1)
    return chart(draw, 2, height=3.8 + rows, width=5.4 + 0.8 * (len(models) - 1))


def _heads(
    axis: Any, layers: tuple[Tensor, ...], even: tuple[float, ...], name: str, colour: str, beside: float
) -> None:
    """Draw a dot for each head of each block, a bar over the images, and the line of an even share."""
    images = len(layers[0])
    prefix = f"{plain(name)}: " if name else ""
    for block, values in enumerate(layers):
        numbers = values.double().numpy()
        places = np.full(numbers.shape[1], block + beside)
        if images > 1:
            low, high = np.quantile(numbers, BAND, axis=0)
            bar = f"{prefix}5 to 95 % of the {images} images" if not block else None
            axis.vlines(places, low, high, color=colour, alpha=0.28, linewidth=2.2, label=bar)
        label = f"{prefix}one head, mean over {images} image{'s' if images > 1 else ''}" if not block else None
        axis.plot(places, numbers.mean(axis=0), "o", color=colour, markersize=4, alpha=0.85, label=label, zorder=3)
    label = f"{prefix}an even share at every patch it can see"
    axis.plot(np.arange(len(even)) + beside, even, color=colour, linewidth=1.1, linestyle=(0, (4, 3)), label=label)


def reach_data(reach: AttentionReach) -> dict[str, Any]:
    """Return what is drawn as plain numbers: by block, head and image."""
    return {
        "unit": {"distance": "pixels of the input", "entropy": "nats"},
        "distance": [layer.T.tolist() for layer in reach.distance],
        "entropy": [layer.T.tolist() for layer in reach.entropy],
        "even_distance": list(reach.even_distance),
        "even_entropy": list(reach.even_entropy),
    }
