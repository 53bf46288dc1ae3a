"""Images, what is hidden of them, and what stands in its place, each with the answer that a classifier gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from vitrail.visualize.draw import Tile, enlarge, sheet, to_image
from vitrail.visualize.reconstruction import without_hidden

SIDE = 224
"""Pixels of the longer side of a tile; a small image grows to it by a whole factor."""


@dataclass(frozen=True)
class RefilledRow:
    """One image with one region hidden.

    Attributes:
        image: ``(C, H, W)``, normalised.
        hidden: ``(H, W)`` bool, the pixels of the region.
        fillings: ``(F, C, H, W)``, normalised likewise.
        captions: below the image, below what is left of it, and below each filling; a first line, and a quieter rest.
    """

    image: Tensor
    hidden: Tensor
    fillings: Tensor
    captions: Sequence[str]


def draw_refilled(rows: Sequence[RefilledRow], mean: Sequence[float], std: Sequence[float], note: str) -> Image.Image:
    """Draw each image, what is left of it, and its fillings, in a row.

    Args:
        rows: images; each has as many fillings as the others.
        mean, std: with which the images were normalised.
        note: a sentence below.
    """
    drawn: list[list[Tile | None]] = []
    for row in rows:
        whole = to_image(row.image, mean, std)
        images = [whole, without_hidden(whole, row.hidden), *(to_image(one, mean, std) for one in row.fillings)]
        shown = [enlarge(image, SIDE, SIDE) for image in images]
        drawn.append([Tile(image, caption) for image, caption in zip(shown, row.captions, strict=True)])
    fillings = max(len(row.fillings) for row in rows)
    named = [f"filling {number + 1}" for number in range(fillings)] if fillings > 1 else ["filled in"]
    return sheet(drawn, columns=["image", "hidden", *named], note=note)


__all__ = ["RefilledRow", "draw_refilled"]
