"""Grids of cells over an image: what is hidden, kept, or moved as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Rows and columns of cells that cover an image; where they do not divide it, cells differ by one pixel.

    Attributes:
        rows, columns: how many cells, from top to bottom and from left to right.
    """

    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Number of cells, N."""
        return self.rows * self.columns

    def fits(self, height: int, width: int) -> bool:
        """Whether every cell has a pixel of its own."""
        return 1 <= self.rows <= height and 1 <= self.columns <= width

    def cells(self, height: int, width: int) -> np.ndarray:
        """Return for each pixel the number of its cell, row by row: int64 ``(H, W)``."""
        return _parts(height, self.rows)[:, None] * self.columns + _parts(width, self.columns)[None]

    def means(self, values: np.ndarray) -> np.ndarray:
        """Average over the pixels of each cell: ``(H, W)`` to float64 ``(N,)``."""
        cells = self.cells(*values.shape).ravel()
        return np.bincount(cells, values.ravel().astype(np.float64), self.count) / np.bincount(cells, None, self.count)


def _parts(length: int, parts: int) -> np.ndarray:
    """Return for each of ``length`` pixels in which of ``parts`` even stretches it lies."""
    return np.arange(length) * parts // length


def spread(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Give every pixel the value of its place on a coarser map: ``(h, w)`` to ``(H, W)``."""
    rows, columns = _parts(height, values.shape[0]), _parts(width, values.shape[1])
    return values[rows[:, None], columns[None]]


__all__ = ["Grid", "spread"]
