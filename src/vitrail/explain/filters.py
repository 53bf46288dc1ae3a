"""The filters that a model applies to the pixels first, and their principal components."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COMPONENTS = 28
"""That figure 7 (left) of the ViT paper shows."""


@dataclass(frozen=True)
class PrincipalFilters:
    """What filters are mostly made of.

    Attributes:
        components: ``(M, C, P, P)``, each of length 1, the one with most of the variance first; its sign is chosen so
            that its largest number is positive.
        shares: ``(M,)``, of the variance of all filters, at most 1 together.
    """

    components: Tensor
    shares: Tensor


def principal_filters(filters: Tensor, count: int = COMPONENTS) -> PrincipalFilters:
    """Return the first principal components of filters ``(F, C, P, P)`` (ViT, figure 7 left), in float64.

    There are no more than there are filters, or numbers in one.
    """
    rows = filters.detach().double().cpu().flatten(1)
    centred = rows - rows.mean(dim=0)
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    variances = lengths.square()
    count = min(count, len(directions))
    kept = directions[:count]
    largest = kept.gather(1, kept.abs().argmax(dim=1, keepdim=True))
    signed = kept * largest.sign()
    total = variances.sum().clamp(min=torch.finfo(variances.dtype).tiny)
    return PrincipalFilters(signed.unflatten(1, filters.shape[1:]), variances[:count] / total)
