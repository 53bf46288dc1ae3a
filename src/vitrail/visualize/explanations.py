"""Explanations of a class over images, what tests of them found, and curves of deletion and insertion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vitrail.explain.faithfulness import Curves, Faithfulness
from vitrail.explain.methods import METHODS, Explanation
from vitrail.visualize.chart import chart, dress
from vitrail.visualize.curves import COLOURS, INK
from vitrail.visualize.draw import Tile, enlarge, sheet, to_image
from vitrail.visualize.scales import coloured, scale_legend

FOR, BOTH = "inferno", "RdBu_r"
"""Colours of a map that is 0 or above, and of one that speaks for and against; both are legible to the colour-blind."""

FIRST_COLOUR = 0.35  # Of the colours of a map that is 0 or above: the darkest would pass for shadows of the image.
OPACITY = 0.85
MIDDLE_GREY = 150 / 255
WIDE = 360


@dataclass(frozen=True)
class Shown:
    """Explanations of one set of images.

    Attributes:
        images: ``(B, C, H, W)``, normalised.
        mean, std: with which they were normalised.
        captions: of each image: its name, and what is explained.
        explanations: of each method.
        tests: of each method whose maps were tested.
    """

    images: Tensor
    mean: Sequence[float]
    std: Sequence[float]
    captions: Sequence[str]
    explanations: Mapping[str, Explanation]
    tests: Mapping[str, Faithfulness]


def draw_explanations(shown: Shown, note: str = "") -> Image.Image:
    """Draw each image beside its map by every method, and below each map its peak and whether it is true."""
    rows: list[list[Tile | None]] = []
    for number, pixels in enumerate(shown.images):
        image = enlarge(to_image(pixels, shown.mean, shown.std), at_least=WIDE, at_most=WIDE)
        tiles: list[Tile | None] = [Tile(image, shown.captions[number])]
        for name, explanation in shown.explanations.items():
            drawn = explanation_map(image, explanation.values[number], explanation.signed)
            tiles.append(Tile(drawn, f"{METHODS[name].title}\n{_below(name, number, explanation, shown.tests)}"))
        rows.append(tiles)
    signed = [one for one in shown.explanations.values() if one.signed]
    legend = _legends(bool(signed), len(signed) < len(shown.explanations))
    notes = [one.note for one in shown.explanations.values() if one.note]
    return sheet(rows, note=" ".join([*notes, note]), legend=legend)


def _below(name: str, number: int, explanation: Explanation, tests: Mapping[str, Faithfulness]) -> str:
    values = explanation.values[number]
    peak = float(values.flatten()[values.abs().argmax()])
    sign = "+" if explanation.signed and peak > 0 else ""
    line = f"{explanation.unit}: largest {sign}{peak:.2g}"
    if explanation.errors is not None:
        line += f", standard error {float(explanation.errors[number].flatten()[values.abs().argmax()]):.2g}"
    return f"{line}\n{tests[name].sentence(number)}" if name in tests else line


def explanation_map(image: Image.Image, values: Tensor, signed: bool) -> Image.Image:
    """Lay a map ``(h, w)`` over an image, which stays visible in grey; the largest value has the last colour."""
    size = (image.height, image.width)
    spread = F.interpolate(values.detach().float().cpu()[None, None], size, mode="nearest-exact")[0, 0].numpy()
    heat = spread / max(float(np.abs(spread).max()), 1e-30)
    grey = np.asarray(image.convert("L"), dtype=np.float32) / 255
    return Image.fromarray((_colours(heat, grey, signed) * 255).round().clip(0, 255).astype(np.uint8))


def _colours(heat: np.ndarray, grey: np.ndarray | float, signed: bool) -> np.ndarray:
    """Lay the colours of a map over grey: of -1 to 1, or of 0 to 1, ``(...)`` to ``(..., 3)``; 0 has no colour."""
    if signed:
        colour = coloured(BOTH, 0.5 + heat / 2)
    else:
        colour = coloured(FOR, FIRST_COLOUR + (0.98 - FIRST_COLOUR) * heat.clip(0, 1))
    opacity = OPACITY * np.abs(heat)[..., None] ** 0.7
    return (1 - opacity) * np.broadcast_to(grey, heat.shape)[..., None] + opacity * colour


def _legends(signed: bool, unsigned: bool) -> Image.Image:
    ticks = ["-largest", "against", "0", "for", "+largest"]
    both = scale_legend(lambda places: _colours(2 * places - 1, MIDDLE_GREY, True), ticks, "for or against the class")
    ticks = ["0", "half", "largest"]
    above = scale_legend(lambda places: _colours(places, MIDDLE_GREY, False), ticks, "of the largest value of each map")
    parts = [part for part, wanted in ((both, signed), (above, unsigned)) if wanted]
    block = Image.new("RGB", (sum(part.width for part in parts) + 40 * (len(parts) - 1), parts[0].height), "white")
    left = 0
    for part in parts:
        block.paste(part, (left, 0))
        left += part.width + 40
    return block


def draw_faithfulness(tests: Mapping[str, Faithfulness]) -> Image.Image:
    """Draw the mean curves of deletion and insertion of every method, and of random orders."""

    def draw(axes: Any) -> None:
        random = next(iter(tests.values())).random
        _curve(axes, random, "random", "#9a9da8", (0, (3, 2)))
        for number, (name, test) in enumerate(tests.items()):
            _curve(axes, test.named, METHODS[name].title, COLOURS[number % len(COLOURS)], "-")
        if len(tests) == 1:
            _curve(axes, next(iter(tests.values())).least, "the least first", COLOURS[1], (0, (5, 2)))
        images = len(random.deletion)
        over = f"mean over {images} images" if images > 1 else "1 image"
        dress(axes[0], f"deletion: probability, {over}", "share of the patches removed, %")
        dress(axes[1], f"insertion: probability, {over}", "share of the patches put in, %")
        for axis, best in zip(axes, ("the lower, the better", "the higher, the better"), strict=True):
            axis.set_ylim(bottom=0)
            below = {"loc": "upper left", "bbox_to_anchor": (-0.02, -0.13)}
            title = f"area under the curve; {best}"
            axis.legend(frameon=False, fontsize=9, labelcolor=INK, title=title, alignment="left", **below)

    return chart(draw, 2, height=4.2 + 0.19 * (len(tests) + 2))


def _curve(axes: Any, curves: Curves, name: str, colour: str, style: Any) -> None:
    both = ((curves.deletion, curves.deletion_area), (curves.insertion, curves.insertion_area))
    for axis, (values, area) in zip(axes, both, strict=True):
        label = f"{name} {float(area.mean()):.3f}"
        shares = [100 * share for share in curves.shares.tolist()]
        axis.plot(shares, values.mean(dim=0).tolist(), color=colour, linestyle=style, linewidth=1.8, label=label)


def faithfulness_data(test: Faithfulness) -> dict[str, Any]:
    """Return what was measured of a map as plain numbers: curves by image, and the areas under them."""
    found: dict[str, Any] = {"share_of_patches": test.named.shares.tolist()}
    for name, curves in (("named", test.named), ("random", test.random), ("least", test.least)):
        found[name] = {
            "deletion": curves.deletion.tolist(),
            "insertion": curves.insertion.tolist(),
            "deletion_area": curves.deletion_area.tolist(),
            "insertion_area": curves.insertion_area.tolist(),
        }
    return found
