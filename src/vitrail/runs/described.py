"""Rows of numbers for a list of images, by a model or by pixels alone, kept in a folder as they come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.data.listed import Listed
from vitrail.data.vector_chunks import Chunk, Chunks, begin
from vitrail.runs.embedding import Describer, Embedder, compute

BORDER = 0.15
"""Share of each side that the frame is wide: the covered centre has (1 - 2 x 0.15)^2 = 49 % of the area."""


HALVED_FROM = 128
"""Pixels a side from which frames are shown to the model at half the size: a quarter of the work, and enough to tell
backgrounds apart. Smaller inputs stay as they are."""


class FramedEmbedder(Embedder):
    """A model's vector of an image, and after it that of the image's frame: the same with its centre covered."""

    def __call__(self, images: Tensor, keep_tokens: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Return ``(B, 2 D)`` float32 of uint8 images ``(B, C, H, W)``: of whole images, then of their frames."""
        whole, tokens = super().__call__(images, keep_tokens)
        framed, _ = super().__call__(covered(_halved(images), self.preprocessing.mean))
        return np.concatenate([whole, framed], axis=1), tokens

    def about(self) -> dict[str, Any]:
        """Return all that decides the rows, as JSON values."""
        return {**super().about(), "border": BORDER, "halved_from": HALVED_FROM}


def _halved(images: Tensor) -> Tensor:
    """Halve the sides of uint8 images ``(B, C, H, W)`` by the mean of four pixels each, where they are large."""
    if min(images.shape[-2:]) < HALVED_FROM:
        return images
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def covered(images: Tensor, mean: tuple[float, ...]) -> Tensor:
    """Cover the centre of uint8 images ``(B, C, H, W)`` with the mean colour that the model's input is centred by."""
    height, width = images.shape[-2:]
    top, left = round(BORDER * height), round(BORDER * width)
    framed = images.clone()
    colour = torch.tensor([round(255 * value) for value in mean], dtype=torch.uint8)
    framed[..., top : height - top, left : width - left] = colour[:, None, None]
    return framed


def described(
    describer: Describer, listed: Listed, folder: Path | None, about: Mapping[str, Any], workers: int
) -> Chunk:
    """Return a row for each image that can be read, those that are in the folder taken from there.

    Args:
        describer: what computes them.
        listed: the images.
        folder: where rows are kept; it is there, and no other process uses it. None: in memory alone.
        about: JSON values that decide all rows.
        workers: processes that load images.

    Raises:
        Interrupted: by Ctrl-C; what was computed is kept.
    """
    chunks = Chunks() if folder is None else begin(folder, about)
    compute(describer, listed, chunks, None, workers)
    return chunks.joined()


__all__ = ["BORDER", "FramedEmbedder", "covered", "described"]
