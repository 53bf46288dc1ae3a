"""What the answer of a transformer attends to: attention of one layer head by head, and rolled out through all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError, nearest
from vitrail.explain.record import device_of, evaluating, global_encoder_of, record_attention, resolve_layers

HEAD_FUSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda weights: weights.mean(dim=1),
    "max": lambda weights: weights.amax(dim=1),
    "min": lambda weights: weights.amin(dim=1),
}

IMAGES_AT_ONCE = 8  # 12 layers of 12 heads at 577 tokens are 190 MB an image.


@dataclass(frozen=True)
class AttentionMaps:
    """What a model attended to in a batch of images.

    Attributes:
        rollout: ``(B, h, w)``, through all layers.
        heads: ``(B, K, h, w)``, of one layer.
        layer: that layer, from 0.
        tokens: N, how many tokens the attention is shared among; 1 / N is an even share.
        by: ``"class"`` or ``"mean"``: whose attention it is, the class token's or that of all patches.
        layers: how many layers the model has.
    """

    rollout: Tensor
    heads: Tensor
    layer: int
    tokens: int
    by: Literal["class", "mean"]
    layers: int


def rollout(weights: Sequence[Tensor], head_fusion: str = "mean", discard: float = 0.0) -> Tensor:
    """Attention through all layers, from the last layer's tokens to the input's.

    Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 3: heads are averaged, the residual
    connection is counted as half of each layer (0.5 A + 0.5 I), and the layers are multiplied. ``max``, ``min``
    and ``discard`` are later variants that suppress noise.

    Args:
        weights: for each layer from the first to the last, ``(B, K, N, N)``: rows are the tokens that attend, and
            sum to 1.
        head_fusion: how the heads of a layer become one matrix: ``mean``, ``max`` or ``min``.
        discard: share of the fused weights set to 0, the smallest of each sample and layer, in [0, 1).

    Returns:
        ``(B, N, N)``, rows sum to 1.

    Raises:
        ConfigError: no layers, an unknown head fusion, or a share outside [0, 1).
    """
    if head_fusion not in HEAD_FUSIONS:
        hint = nearest(head_fusion, HEAD_FUSIONS) or "; choose mean, max or min"
        raise ConfigError(f"there is no head_fusion {head_fusion!r}{hint}")
    if not 0.0 <= discard < 1.0:
        raise ConfigError(f"discard is a share of the weights, from 0 to below 1, not {discard}")
    if not weights:
        raise ConfigError("rollout needs the attention of at least one layer")
    flow = torch.eye(weights[0].shape[-1], dtype=weights[0].dtype, device=weights[0].device)
    for layer in weights:
        fused = _without_smallest(HEAD_FUSIONS[head_fusion](layer), discard)
        mixed = 0.5 * fused + 0.5 * torch.eye(fused.shape[-1], dtype=fused.dtype, device=fused.device)
        flow = mixed / mixed.sum(dim=-1, keepdim=True) @ flow
    return flow


def _without_smallest(weights: Tensor, share: float) -> Tensor:
    """Set the smallest ``share`` of each sample's weights ``(B, N, N)`` to 0."""
    flat = weights.flatten(1)
    smallest = flat.topk(int(share * flat.shape[1]), dim=1, largest=False).indices
    return flat.scatter(1, smallest, 0.0).view_as(weights)


def class_attention(
    weights: Tensor,
    grid: tuple[int, int],
    prefix: int = 1,
    by: Literal["class", "mean"] | None = None,
) -> Tensor:
    """Lay what the pooled answer attends to out over the image.

    Args:
        weights: ``(..., N, N)``, of each head ``(B, K, N, N)`` or rolled out ``(B, N, N)``, N = prefix + h * w.
        grid: ``(h, w)``.
        prefix: tokens before the grid; the first is the class token.
        by: whose attention: ``class``, the class token's, or ``mean``, that of all patches averaged, for models
            that pool by the mean. By default the class token's where there is one.

    Returns:
        ``(..., h, w)``: shares of the attention; what the prefix tokens get is missing from a sum of 1.

    Raises:
        ValueError: the number of tokens does not fit grid and prefix, or there is no class token.
    """
    if weights.shape[-1] != prefix + grid[0] * grid[1]:
        raise ValueError(
            f"a {grid[0]}x{grid[1]} grid after {prefix} prefix tokens makes {prefix + grid[0] * grid[1]} tokens; "
            f"these weights are for {weights.shape[-1]}"
        )
    by = by or ("class" if prefix else "mean")
    if by == "class" and not prefix:
        raise ValueError('a model without a class token has no class attention; use by="mean"')
    rows = weights[..., 0, :] if by == "class" else weights[..., prefix:, :].mean(dim=-2)
    return rows[..., prefix:].unflatten(-1, grid)


def attention_maps(
    model: nn.Module, images: Tensor, layer: int = -1, head_fusion: str = "mean", discard: float = 0.0
) -> AttentionMaps:
    """Run a model over images and map what its answer attends to.

    Args:
        model: an `ImageClassifier`, a `ViT`, or a `MAE` (its encoder looks at the whole image).
        images: ``(B, C, H, W)``, normalised, on any device.
        layer: whose heads are shown, negative from the end.
        head_fusion, discard: as in `rollout`.

    Raises:
        ConfigError: the model has no attention to look at, or no such layer.
    """
    encoder = global_encoder_of(model)
    shown = resolve_layers([layer], encoder.depth)[0]
    grid = encoder.token_grid(images.shape[-2], images.shape[-1])
    assert grid is not None
    by: Literal["class", "mean"] = "class" if encoder.pools_class_token else "mean"
    flows, heads = [], []
    with evaluating(encoder):
        for some in images.split(IMAGES_AT_ONCE):
            with record_attention(encoder) as recorded:
                encoder(some.to(device_of(encoder)))
            flow = rollout(list(recorded.values()), head_fusion, discard)
            flows.append(class_attention(flow, grid, encoder.prefix_tokens, by))
            heads.append(class_attention(recorded[shown], grid, encoder.prefix_tokens, by))
    tokens = encoder.prefix_tokens + grid[0] * grid[1]
    return AttentionMaps(torch.cat(flows), torch.cat(heads), shown, tokens, by, encoder.depth)
