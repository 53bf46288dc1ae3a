"""Whether a map has to do with what the model learned: it must change when the weights do (Adebayo et al. 2018)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitrail.heads.classifier import ImageClassifier


@dataclass(frozen=True)
class RandomisedMap:
    """A map of a model whose upper layers hold random weights.

    Attributes:
        layer: the lowest layer that does, as `ImageClassifier.layer_of` counts: from depth + 1, the head, down to 0.
        values: ``(B, h, w)``.
        correlation: ``(B,)``, of its ranks with those of the trained model's map.
    """

    layer: int
    values: Tensor
    correlation: Tensor


def sanity_check(
    model: ImageClassifier, explain: Callable[[ImageClassifier], Tensor], seed: int
) -> Iterator[RandomisedMap]:
    """Randomise a model's layers one after the other from the head down, and map again after each.

    The cascading randomisation of Adebayo et al. 2018, Sanity Checks for Saliency Maps, section 3. A tensor is
    randomised by mixing its numbers, which keeps their distribution.

    Args:
        model: the classifier; it is left as it is.
        explain: maps images ``(B, h, w)`` by a model. The class must be fixed: a random model predicts another.
        seed: of the mixing.

    Yields:
        A map for each layer, from the head down to the embeddings.
    """
    trained = explain(model)
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for layer in range(model.depth + 1, -1, -1):
        for name, tensor in other.named_parameters():
            if other.layer_of(name) == layer:
                mixed = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                tensor.data = tensor.data.flatten()[mixed].view_as(tensor)
        values = explain(other)
        yield RandomisedMap(layer, values, rank_correlation(trained, values))


def maps_of_check(model: ImageClassifier) -> int:
    """Return how many maps `sanity_check` makes of a model: one as it is, one for each layer down to the embeddings."""
    return model.depth + 3


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return Spearman's rank correlation of two maps of each image: ``(B, h, w)`` twice to ``(B,)``.

    Equal values share their mean rank. 0 where one of the maps is the same everywhere, and so has no order.
    """
    from scipy.stats import rankdata  # takes half a second, which a prediction need not wait for

    found = []
    for one, other in zip(first.flatten(1).double().numpy(), second.flatten(1).double().numpy(), strict=True):
        ranks = [rankdata(values) - (values.size + 1) / 2 for values in (one, other)]
        size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
        found.append(float((ranks[0] * ranks[1]).sum()) / size if size else 0.0)
    return torch.tensor(found, dtype=torch.float64)
