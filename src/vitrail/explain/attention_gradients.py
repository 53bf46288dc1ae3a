"""Gradient-weighted attention rollout: attention that raises the score of a class, through all blocks.

Chefer, Gur and Wolf 2021, Generic Attention-model Explainability for Interpreting Bi-Modal and Encoder-Decoder
Transformers, section 3, for an encoder alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.explain.stitched import by_window, cut_up, lay_out
from vitrail.explain.target import Target
from vitrail.heads.classifier import ImageClassifier
from vitrail.layers.attention import Attention
from vitrail.layers.window_layout import Partition
from vitrail.models.backbone import Backbone

IMAGES_AT_ONCE = 8  # Attention and gradients of 12 layers of 12 heads at 577 tokens are 380 MB an image.


def weighted_attention(model: ImageClassifier, images: Tensor, target: Target, layers: list[Attention]) -> list[Tensor]:
    """Weigh attention by the gradient of a class's logit, and average what is positive over the heads (equation 5).

    Args:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        target: the classes.
        layers: whose attention.

    Returns:
        For each layer ``(B, N, N)``, or ``(B * G, A, A)`` of windows, image by image; 0 or above.
    """
    seen: list[Tensor] = []
    before = [layer.observe for layer in layers]
    try:
        for layer in layers:
            layer.observe = seen.append
        with evaluating(model, gradients=True):
            # Attention has a gradient where its inputs have one, also of a model whose weights are all frozen.
            score = target.score(model(images.to(device_of(model)).requires_grad_())).sum()
            gradients = torch.autograd.grad(score, seen)
    finally:
        for layer, observer in zip(layers, before, strict=True):
            layer.observe = observer
    weighted = []
    for layer, weights, gradient in zip(layers, seen, gradients, strict=True):
        raised = (weights * gradient).detach().relu()
        weighted.append(raised.reshape(-1, layer.num_heads, *raised.shape[-2:]).mean(dim=1).cpu())
    return weighted


def class_relevance(model: ImageClassifier, images: Tensor, target: Target) -> Tensor:
    """Map through which patches attention raised the score of a class (equations 5 and 6).

    Relevance begins as the identity and goes through the blocks as ``R + A R``, with the weighted attention ``A`` of
    each. What the pooled answer gets of each patch is kept: the rows of the tokens it is made of, the class token's or
    all patches', each by its share, less what they have of themselves at the start.

    Of a Swin the blocks of the last stage are followed, window by window, down to the tokens that come into it. No
    further: patch merging is a linear map of four tokens to one without any attention, so there is no share of it
    that belongs to each of the four.

    Args:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        target: the classes.

    Returns:
        ``(B, h, w)`` on the CPU, 0 or above: over the patches, or over the map of a Swin's last stage.

    Raises:
        ConfigError: the model has no attention, or pools its patches by attention, whose weights are not followed.
    """
    backbone = model.backbone
    if not backbone.attention_layers():
        raise ConfigError(f"gradient-weighted attention needs attention, which a {type(backbone).__name__} has not")
    if backbone.pooled_shares(1) is None:
        raise ConfigError("gradient-weighted attention does not follow attention pooling; choose another method")
    size, maps = (images.shape[-2], images.shape[-1]), []
    for number, some in enumerate(images.split(IMAGES_AT_ONCE)):
        chosen = target.part(slice(number * IMAGES_AT_ONCE, (number + 1) * IMAGES_AT_ONCE))
        if backbone.has_windows:
            partitions = backbone.windows(*size)[-1]
            layers = backbone.attention_layers()[-len(partitions) :]
            maps.append(_through_windows(weighted_attention(model, some, chosen, layers), partitions))
        else:
            weighted = weighted_attention(model, some, chosen, backbone.attention_layers())
            maps.append(_through_blocks(weighted, backbone, size))
    return torch.cat(maps)


def _through_blocks(weighted: list[Tensor], backbone: Backbone, size: tuple[int, int]) -> Tensor:
    """Follow relevance from the pooled answer back to the patches: ``(B, h, w)``."""
    grid = backbone.token_grid(*size)
    assert grid is not None
    shares = backbone.pooled_shares(grid[0] * grid[1])
    assert shares is not None
    start = shares.to(weighted[0]).view(1, 1, -1)
    # The rows of (I + A_L) ... (I + A_1) that are asked for, without the product of matrices.
    relevance = start
    for attention in reversed(weighted):
        relevance = relevance + relevance @ attention
    return (relevance - start)[:, 0, backbone.prefix_tokens :].unflatten(-1, grid)


def _through_windows(weighted: list[Tensor], partitions: list[Partition]) -> Tensor:
    """Follow relevance from the mean over the last map through the windows of one stage: ``(B, h, w)``."""
    h, w = partitions[-1].h, partitions[-1].w
    start = weighted[0].new_full((1, h, w), 1 / (h * w))
    relevance = start
    for attention, partition in zip(reversed(weighted), reversed(partitions), strict=True):
        windows = by_window(attention, partition)
        slots = cut_up(relevance, partition).unflatten(-1, (partition.windows, 1, partition.area))
        relevance = relevance + lay_out((slots @ windows).flatten(1), partition)
    return relevance - start
