"""The images of a features file that are most like one: by cosine similarity, as figures and as a contact sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.data.feature_files import FeatureTable
from vitrail.data.images import open_image
from vitrail.errors import ImageError
from vitrail.visualize.draw import HIDDEN, PAPER, contact_sheet

AT_ONCE = 65_536
"""Vectors compared at a time."""

SIDE = 224
"""Longer side of an image on the sheet, in pixels."""


@dataclass(frozen=True)
class Similar:
    """An image that is like another.

    Attributes:
        file: its path, or what it is called.
        similarity: cosine of both vectors, in [-1, 1].
        label: the name of its class, where that is known.
    """

    file: str
    similarity: float
    label: str | None = None


def most_similar(table: FeatureTable, vector: np.ndarray, top: int) -> list[Similar]:
    """Return the images whose vectors point most nearly where ``vector`` ``(D,)`` does, the nearest first.

    Of equal ones the first in the file comes first. A vector of nothing but zeros is like none: 0.
    """
    cosines = np.concatenate(
        [
            _cosines(np.asarray(table.vectors[start : start + AT_ONCE], np.float64), vector.astype(np.float64))
            for start in range(0, max(1, len(table.vectors)), AT_ONCE)
        ]
    )
    order = np.argsort(-cosines, kind="stable")[:top]
    return [Similar(table.files[row], float(cosines[row]), table.labels[row]) for row in map(int, order)]


def _cosines(vectors: np.ndarray, vector: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
    return np.divide(vectors @ vector, lengths, out=np.zeros(len(vectors)), where=lengths > 0).clip(-1, 1)


def similar_sheet(query: Image.Image, name: str, found: Sequence[Similar], note: str) -> Image.Image:
    """Draw an image and those most like it, with their similarities and classes; one that is gone is a grey square."""
    images, captions = [query], [f"{name}\nthe image asked about"]
    for one in found:
        images.append(_opened(one.file))
        captions.append(f"{Path(one.file).name}\n{one.similarity:.4f}{f', {one.label}' if one.label else ''}")
    return contact_sheet(
        [_squared(image) for image in images],
        captions,
        columns=min(5, len(images)),
        title="Most similar images",
        note=note,
    )


def _squared(image: Image.Image) -> Image.Image:
    """Fit an image into a white square, so that captions stand in lines; a tiny one keeps its pixels."""
    share = SIDE / max(image.size)
    way = Image.Resampling.NEAREST if share >= 4 else Image.Resampling.LANCZOS
    width, height = (max(1, round(side * share)) for side in image.size)
    square = Image.new("RGB", (SIDE, SIDE), PAPER)
    square.paste(image.convert("RGB").resize((width, height), way), ((SIDE - width) // 2, (SIDE - height) // 2))
    return square


def _opened(file: str) -> Image.Image:
    try:
        return open_image(file)
    except (ImageError, OSError, ValueError):
        return Image.new("RGB", (SIDE, SIDE), HIDDEN)


__all__ = ["Similar", "most_similar", "similar_sheet"]
