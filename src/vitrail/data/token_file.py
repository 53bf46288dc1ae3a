"""Tokens of every patch of many images in one .npy file, to be mapped into memory: written row by row, whole or absent.

Until all rows are there they lie in a hidden file beside, in room left for numpy's header, so that an interrupted
command goes on after the last row that is known to be on the disk.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from vitrail.console import quoted
from vitrail.data.features import HEADER, npy_header
from vitrail.errors import DataError
from vitrail.serialize import make_durable


class TokenFile:
    """The file of tokens ``(M, N, D)``.

    Args:
        path: of the file once it is whole.
        shape: of the tokens of one image, ``(N, D)``.
        dtype: ``float16`` or ``float32``.
    """

    def __init__(self, path: Path, shape: tuple[int, int], dtype: str) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype).newbyteorder("<")
        self.unfinished = unfinished_tokens(path)

    @property
    def bytes_per_image(self) -> int:
        """How many bytes an image takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def go_on(self, rows: int) -> bool:
        """Keep the first rows of the unfinished file, and tell whether they were there; else begin it anew."""
        wanted = HEADER + rows * self.bytes_per_image
        there = self.unfinished.is_file() and self.unfinished.stat().st_size >= wanted
        with self.unfinished.open("r+b" if there else "wb") as file:
            file.truncate(wanted if there else HEADER)
        return there or rows == 0

    def add(self, tokens: np.ndarray) -> None:
        """Write the tokens ``(B, N, D)`` of some images, and wait until they are on the disk.

        Raises:
            DataError: one is beyond what float16 holds.
        """
        with np.errstate(over="ignore"):
            stored = tokens.astype(self.dtype)
        if not np.isfinite(stored).all():
            raise DataError(f"a patch token is larger than {self.dtype.name} holds; add --token-dtype float32")
        with self.unfinished.open("ab") as file:
            file.write(np.ascontiguousarray(stored).tobytes())
            file.flush()
            os.fsync(file.fileno())

    def finish(self, rows: int) -> None:
        """Write the header, and rename the file into its place."""
        if not self.unfinished.is_file() and self.is_whole(rows):
            return  # it was finished when the command was interrupted
        with self.unfinished.open("r+b") as file:
            file.write(npy_header((rows, *self.shape), self.dtype.str))
        make_durable(self.unfinished)
        self.unfinished.replace(self.path)
        make_durable(self.path.parent)

    def is_whole(self, rows: int) -> bool:
        """Whether the file is there, of the right shape and type."""
        try:
            found = np.load(self.path, mmap_mode="r")
        except (OSError, ValueError):
            return False
        return found.shape == (rows, *self.shape) and found.dtype == self.dtype


def unfinished_tokens(path: Path) -> Path:
    """Return the hidden file in which tokens are gathered."""
    return path.with_name(f".{path.name}.unfinished")


def check_absent(path: Path) -> None:
    """Refuse a file that is there already and would be replaced.

    Raises:
        DataError: it is.
    """
    if path.exists():
        raise DataError(f"{quoted(path)} is there already; remove it, or choose another file with --patch-tokens")


__all__ = ["TokenFile", "check_absent", "unfinished_tokens"]
