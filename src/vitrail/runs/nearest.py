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


def similar_sheet(
    query: Image.Image, name: str, found: Sequence[Similar], note: str, begun_in: Path
) -> tuple[Image.Image, int]:
    """Draw an image and those most like it, with their similarities and classes.

    Args:
        query: the image asked about.
        name: what it is called.
        found: the nearest first.
        note: stands below.
        begun_in: the folder from which files were named when their vectors were computed.

    Returns:
        The sheet, and how many images are gone; a grey square stands for each.
    """
    opened = [_opened(one.file, begun_in) for one in found]
    captions = [f"{name}\nthe image asked about"]
    captions += [f"{Path(one.file).name}\n{one.similarity:.4f}{f', {one.label}' if one.label else ''}" for one in found]
    missing = Image.new("RGB", (SIDE, SIDE), HIDDEN)
    sheet = contact_sheet(
        [_squared(image) for image in (query, *(image or missing for image in opened))],
        captions,
        columns=min(5, len(captions)),
        title="Most similar images",
        note=note,
    )
    return sheet, opened.count(None)


def _squared(image: Image.Image) -> Image.Image:
    """Fit an image into a white square, so that captions stand in lines; a tiny one keeps its pixels."""
    share = SIDE / max(image.size)
    way = Image.Resampling.NEAREST if share >= 4 else Image.Resampling.LANCZOS
    width, height = (max(1, round(side * share)) for side in image.size)
    square = Image.new("RGB", (SIDE, SIDE), PAPER)
    square.paste(image.convert("RGB").resize((width, height), way), ((SIDE - width) // 2, (SIDE - height) // 2))
    return square


def _opened(file: str, begun_in: Path) -> Image.Image | None:
    """Open an image from where its name leads to now, or led to then."""
    for place in (Path(file), begun_in / file):
        try:
            return open_image(place)
        except (ImageError, OSError, ValueError):
            continue
    return None


__all__ = ["Similar", "most_similar", "similar_sheet"]
