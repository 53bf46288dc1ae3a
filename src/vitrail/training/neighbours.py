"""Classes by the nearest images: the k-NN measure of features that were learned without labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = 20
TEMPERATURE = 0.07
"""Of the weights; with cosine similarity (Wu et al. 2018, Instance Discrimination, section 3.4)."""

COMPARED = 2**24
"""Similarities held in memory at a time."""


def nearest_neighbours(
    known: Tensor,
    labels: Tensor,
    queries: Tensor,
    num_classes: int,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Let the k most similar known images vote, each with the weight ``exp(similarity / temperature)``.

    Args:
        known: ``(N, D)`` features of images whose class is known.
        labels: ``(N,)`` their classes.
        queries: ``(M, D)`` features of images to tell.
        num_classes: K.
        k: how many neighbours vote; all there are when there are fewer.
        temperature: how much the nearest ones count for more.

    Returns:
        ``(M, K)`` shares of the votes; every row adds up to 1.
    """
    known, queries = F.normalize(known.float(), dim=1), F.normalize(queries.float(), dim=1)
    k = min(k, len(known))
    shares = []
    for part in queries.split(max(1, COMPARED // len(known))):
        similarity, nearest = (part @ known.T).topk(k, dim=1)
        # A softmax: the same weights, but their sum is 1 and none overflows.
        votes = (similarity / temperature).softmax(dim=1)
        shares.append(votes.new_zeros(len(part), num_classes).scatter_add_(1, labels[nearest], votes))
    return torch.cat(shares)
