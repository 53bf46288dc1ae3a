"""The nearest of many vectors to each of them, in parts: no matrix of all pairs is ever in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

COMPARED = 2**24
"""Similarities held in memory at a time."""


@dataclass(frozen=True)
class Neighbours:
    """The K nearest others of N vectors, the nearest first.

    Attributes:
        index: ``(N, K)`` int64.
        similarity: ``(N, K)`` float32, cosines in [-1, 1].
    """

    index: np.ndarray
    similarity: np.ndarray


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1; those of nothing but zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors, dtype=np.float32), where=lengths > 0)


def nearest(
    queries: np.ndarray, known: np.ndarray, k: int, reached: Callable[[int, int], None] = lambda done, total: None
) -> Neighbours:
    """Find for each row of ``queries`` the k rows of ``known`` of the largest cosine, that of its own number left out.

    Args:
        queries: ``(N, D)`` of length 1.
        known: ``(N, D)`` of length 1, row by row of the same images.
        k: how many; all others where there are fewer.
        reached: called with how many rows are done, and how many there are.
    """
    total = len(queries)
    k = max(0, min(k, total - 1))
    of, others = torch.from_numpy(np.ascontiguousarray(queries)).float(), torch.from_numpy(np.ascontiguousarray(known))
    others = others.float()
    index, similarity = np.zeros((total, k), np.int64), np.zeros((total, k), np.float32)
    step = max(1, COMPARED // max(1, total))
    for start in range(0, total if k else 0, step):
        part = of[start : start + step] @ others.T
        rows = torch.arange(len(part))
        part[rows, rows + start] = -torch.inf
        values, places = part.topk(k, dim=1)
        index[start : start + step], similarity[start : start + step] = places.numpy(), values.numpy()
        reached(min(start + step, total), total)
    return Neighbours(index, similarity.clip(-1, 1))


__all__ = ["Neighbours", "nearest", "unit"]
