"""How far attention reaches, in pixels, and how evenly it is spread: by head and by depth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitrail.explain.record import device_of, encoder_of, evaluating, record_attention
from vitrail.explain.stitched import by_window
from vitrail.layers.window_layout import Partition, regions, token_index
from vitrail.models.backbone import Backbone

IMAGES_AT_ONCE = 8  # 12 layers of 12 heads at 577 tokens are 190 MB an image.


@dataclass(frozen=True)
class AttentionReach:
    """How far the heads of a model look in images, and how evenly.

    Attributes:
        distance: of each layer ``(B, K)``, the mean distance in pixels between a patch and what it attends to.
        entropy: of each layer ``(B, K)``, the mean entropy of a patch's attention, in nats: 0 for all of it at one
            token, ``log N`` for an even share at each of N.
        even_distance: of each layer, the distance in pixels that an even share at every patch gives.
        even_entropy: of each layer, the entropy in nats that an even share at every token gives.
    """

    distance: tuple[Tensor, ...]
    entropy: tuple[Tensor, ...]
    even_distance: tuple[float, ...]
    even_entropy: tuple[float, ...]


def mean_attention_distance(weights: Tensor, grid: tuple[int, int], patch_size: int, prefix: int = 1) -> Tensor:
    """How far patches look, in pixels (ViT, figure 7 right and appendix D.7).

    The distance between a patch and every other, weighted by the attention among patches and averaged over the
    patches that look. Attention to and from prefix tokens, which have no place, is left out.

    Args:
        weights: ``(..., N, N)``.
        grid: ``(h, w)``.
        patch_size: pixels between two neighbouring tokens.
        prefix: tokens before the grid.

    Returns:
        ``(...)``.
    """
    among = weights[..., prefix:, prefix:]
    among = among / among.sum(dim=-1, keepdim=True)
    return (among * grid_distances(grid).to(among)).sum(dim=-1).mean(dim=-1) * patch_size


def grid_distances(grid: tuple[int, int]) -> Tensor:
    """Return the Euclidean distance between all places of a grid, in patches: ``(N, N)``."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in grid), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1)
    return (places.unsqueeze(0) - places.unsqueeze(1)).norm(dim=-1)


def attention_entropy(weights: Tensor, prefix: int = 1) -> Tensor:
    """How evenly patches spread their attention over all tokens: ``(..., N, N)`` to ``(...)``, in nats."""
    return _entropy(weights[..., prefix:, :]).mean(dim=-1)


def _entropy(shares: Tensor) -> Tensor:
    """Return the entropy of the last axis; what is 0 adds nothing."""
    return torch.special.entr(shares).sum(dim=-1)


def window_distance(weights: Tensor, partition: Partition, stride: int) -> Tensor:
    """How far tokens look within their windows, in pixels: ``(B * G, K, A, A)``, as recorded, to ``(B, K)``."""
    held = torch.from_numpy(token_index(partition)).view(partition.windows, partition.area)
    real = held < partition.h * partition.w
    places = torch.stack([held // partition.w, held % partition.w], dim=-1).float()
    distances = (places.unsqueeze(2) - places.unsqueeze(1)).norm(dim=-1)
    looked = (by_window(weights, partition) * distances.unsqueeze(1)).sum(dim=-1)
    return _over_queries(looked, real) * stride


def window_entropy(weights: Tensor, partition: Partition) -> Tensor:
    """How evenly tokens spread their attention within their windows, in nats: ``(B * G, K, A, A)`` to ``(B, K)``."""
    real = torch.from_numpy(token_index(partition)).view(partition.windows, partition.area)
    return _over_queries(_entropy(by_window(weights, partition)), real < partition.h * partition.w)


def _over_queries(values: Tensor, real: Tensor) -> Tensor:
    """Average ``(B, G, K, A)`` over the slots ``(G, A)`` that hold a token: ``(B, K)``."""
    return (values * real.unsqueeze(1)).sum(dim=(1, 3)) / real.sum()


def attention_reach(model: nn.Module, images: Tensor) -> AttentionReach:
    """Measure how far the heads of a model look in images, and how evenly.

    Args:
        model: an `ImageClassifier`, a backbone with attention, or what pretrains one.
        images: ``(B, C, H, W)``, normalised.

    Raises:
        ConfigError: the model has no attention.
    """
    encoder = encoder_of(model)
    size = (images.shape[-2], images.shape[-1])
    found: list[tuple[list[Tensor], list[Tensor]]] = []
    with evaluating(encoder):
        for some in images.split(IMAGES_AT_ONCE):
            with record_attention(encoder) as recorded:
                encoder(some.to(device_of(encoder)))
            found.append(_measured(encoder, list(recorded.values()), size))
    evenly = _measured(encoder, _even(encoder, size), size)
    return AttentionReach(
        tuple(map(torch.cat, zip(*(distance for distance, _ in found), strict=True))),
        tuple(map(torch.cat, zip(*(entropy for _, entropy in found), strict=True))),
        *(tuple(float(layer.mean()) for layer in layers) for layers in evenly),
    )


def _measured(encoder: Backbone, weights: list[Tensor], size: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
    """Return distance and entropy of the attention of each layer, ``(B, K)`` each."""
    if not encoder.has_windows:
        grid, prefix = encoder.token_grid(*size), encoder.prefix_tokens
        assert grid is not None
        distances = [mean_attention_distance(layer, grid, encoder.strides[0], prefix) for layer in weights]
        return distances, [attention_entropy(layer, prefix) for layer in weights]
    distances, entropies, layers = [], [], iter(weights)
    for stage, stride in zip(encoder.windows(*size), encoder.strides, strict=True):
        for partition in stage:
            layer = next(layers)
            distances.append(window_distance(layer, partition, stride))
            entropies.append(window_entropy(layer, partition))
    return distances, entropies


def _even(encoder: Backbone, size: tuple[int, int]) -> list[Tensor]:
    """Return attention that is an even share at every token it can reach, for one image: as recorded of each layer."""
    if not encoder.has_windows:
        grid = encoder.token_grid(*size)
        assert grid is not None
        tokens = encoder.prefix_tokens + grid[0] * grid[1]
        return [torch.full((1, 1, tokens, tokens), 1 / tokens)] * encoder.depth
    return [_even_within(partition) for stage in encoder.windows(*size) for partition in stage]


def _even_within(partition: Partition) -> Tensor:
    """Return an even share at every token of one's own region of a window: ``(G, 1, A, A)``."""
    region = torch.from_numpy(regions(partition))
    together = (region.unsqueeze(2) == region.unsqueeze(1)).float()
    return (together / together.sum(dim=-1, keepdim=True)).unsqueeze(1)
