"""What each block of a model represents: how alike two blocks are, and how well classes are told apart after each."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.models.backbone import backbone_of
from vitrail.training.neighbours import nearest_neighbours

IMAGES_AT_ONCE = 32
LEAST_IMAGES = 4
"""That the estimate of `similarity` needs."""


def layer_vectors(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Describe images by each block: the mean over the places of its map, ``(B, D)`` float64 on the CPU."""
    backbone, found = backbone_of(model), []
    with evaluating(backbone):
        for some in images.split(IMAGES_AT_ONCE):
            maps = backbone.feature_maps(some.to(device_of(backbone)), after=range(backbone.depth))
            found.append([places.double().mean(dim=(2, 3)).cpu() for places in maps])
    return [torch.cat(layer) for layer in zip(*found, strict=True)]


def similarity(first: Tensor, second: Tensor) -> float:
    """Return how alike two descriptions of the same images are: linear CKA (Kornblith et al. 2019), at most 1.

    Of the unbiased estimate (Nguyen et al. 2021, Do Wide and Deep Networks Learn the Same Things?, equation 3), which
    for unrelated descriptions of few images is about 0 and may be below.

    Args:
        first, second: ``(B, D)`` and ``(B, D')``, rows of the same images.

    Raises:
        ConfigError: there are fewer than `LEAST_IMAGES` images.
    """
    if len(first) < LEAST_IMAGES:
        raise ConfigError(f"layers are compared over {LEAST_IMAGES} images or more, not {len(first)}; show more images")
    grams = [rows @ rows.T for rows in (_scaled(first), _scaled(second))]
    size = _independence(grams[0], grams[0]) * _independence(grams[1], grams[1])
    return _independence(*grams) / size**0.5 if size > 0 else 0.0


def _scaled(rows: Tensor) -> Tensor:
    """Centre rows and bring them to a common scale, which changes nothing but keeps numbers within range."""
    centred = rows.double() - rows.double().mean(dim=0)
    return centred / centred.norm().clamp(min=1e-300)


def _independence(first: Tensor, second: Tensor) -> float:
    """Return the unbiased HSIC of two Gram matrices ``(n, n)`` (Song et al. 2012, equation 5)."""
    n = len(first)
    k, m = (gram - gram.diag().diag() for gram in (first, second))
    both = (k * m.T).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(dim=0) @ m.sum(dim=1))
    return float(both) / (n * (n - 3))


def similarities(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """Return the similarity of every two layers ``(L, L')``, of one model or of two, over the same images."""
    return torch.tensor([[similarity(one, other) for other in second] for one in first], dtype=torch.float64)


def neighbour_accuracy(vectors: list[Tensor], labels: Tensor, k: int = 20) -> Tensor:
    """Return for each layer the share of images that the nearest other images name correctly, ``(L,)``.

    Args:
        vectors: of each layer ``(B, D)``.
        labels: ``(B,)`` classes.
        k: how many neighbours vote; all others where there are fewer.

    Raises:
        ConfigError: there is one image alone.
    """
    count = len(labels)
    if count < 2:
        raise ConfigError("an image's neighbours are other images; show two or more")
    classes = int(labels.max()) + 1
    others = ~torch.eye(count, dtype=torch.bool)
    shares = []
    for layer in vectors:
        named = [
            nearest_neighbours(layer[rest], labels[rest], layer[number : number + 1], classes, k).argmax()
            for number, rest in enumerate(others)
        ]
        shares.append(float((torch.stack(named) == labels).double().mean()))
    return torch.tensor(shares, dtype=torch.float64)
