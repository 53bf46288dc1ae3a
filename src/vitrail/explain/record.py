"""Record attention weights while a model runs, without changing what it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.models.backbone import Backbone, backbone_of


class Recording(Mapping[int, Tensor]):
    """Attention weights by layer: ``recording[layer]`` is ``(B, K, N, N)``, float32, on the CPU.

    Of a Swin they are those of each window, ``(B * G, K, A, A)``, image by image. Layers count from 0, negative
    ones from the end, and are iterated in order. Forward passes made one after the other while recording are joined
    along B.
    """

    def __init__(self, layers: Sequence[int], depth: int, num_heads: Sequence[int]) -> None:
        self._depth = depth
        self._num_heads = num_heads
        self._passes: dict[int, list[Tensor]] = {layer: [] for layer in layers}

    def add(self, layer: int, weights: Tensor) -> None:
        """Keep the weights of one forward pass."""
        by_head = weights.detach().reshape(-1, self._num_heads[layer], *weights.shape[-2:])
        self._passes[layer].append(by_head.to("cpu", torch.float32))

    def __getitem__(self, layer: int) -> Tensor:
        passes = self._passes[layer if layer >= 0 else layer + self._depth]
        if not passes:
            raise ConfigError("no attention was recorded; run the model inside `with record_attention(...)`")
        return torch.cat(passes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._passes)

    def __len__(self) -> int:
        return len(self._passes)


@contextmanager
def record_attention(model: nn.Module, layers: Sequence[int] | None = None) -> Iterator[Recording]:
    """Record the attention weights of a model's encoder while the block runs.

    Only the chosen layers compute their weights step by step, and hand them to the CPU as they come; all others
    keep the fast path. The model gives the same result up to rounding, and is left as it was found, whatever
    happens inside.

    Args:
        model: an `ImageClassifier`, a `ViT`, a `Swin`, or what pretrains one (its encoder is recorded).
        layers: indices of blocks, negative ones from the end; all blocks when absent.

    Yields:
        The recording, filled by every forward pass.

    Raises:
        ConfigError: the model has no attention to record, or no such layer.
    """
    attentions = encoder_of(model).attention_layers()
    chosen = resolve_layers(range(len(attentions)) if layers is None else layers, len(attentions))
    recording = Recording(chosen, len(attentions), [attention.num_heads for attention in attentions])
    watched = {layer: attentions[layer] for layer in chosen}
    before = {layer: attention.observe for layer, attention in watched.items()}
    try:
        for layer, attention in watched.items():
            attention.observe = lambda weights, layer=layer: recording.add(layer, weights)
        yield recording
    finally:
        for layer, attention in watched.items():
            attention.observe = before[layer]


def resolve_layers(layers: Sequence[int], depth: int) -> list[int]:
    """Turn indices, negative ones from the end, into those from 0 to depth - 1, ascending, each once.

    Raises:
        ConfigError: there is no such layer.
    """
    for layer in layers:
        if not -depth <= layer < depth:
            raise ConfigError(f"there is no layer {layer}; this model's go from 0 to {depth - 1}, or -1 to {-depth}")
    return sorted({layer % depth for layer in layers})


def encoder_of(model: nn.Module) -> Backbone:
    """Return the backbone with attention inside a model.

    Raises:
        ConfigError: there is none.
    """
    backbone = backbone_of(model)
    if not backbone.attention_layers():
        raise ConfigError(f"attention can be looked at in a ViT or a Swin, not in a {type(backbone).__name__}")
    return backbone


def global_encoder_of(model: nn.Module) -> Backbone:
    """Return the backbone inside a model whose tokens all see each other, as a ViT's.

    Raises:
        ConfigError: there is none.
    """
    encoder = encoder_of(model)
    if encoder.has_windows:
        raise ConfigError("this image is of a ViT; vitrail.explain.stitched maps the attention of a Swin")
    return encoder


def windowed_encoder_of(model: nn.Module) -> Backbone:
    """Return the backbone inside a model whose tokens see those of their window, as a Swin's.

    Raises:
        ConfigError: there is none.
    """
    encoder = encoder_of(model)
    if not encoder.has_windows:
        raise ConfigError("windows are there in a Swin, not in a ViT")
    return encoder


@contextmanager
def evaluating(model: nn.Module, gradients: bool = False) -> Iterator[None]:
    """Run a block with the model in evaluation mode, without gradients unless asked; every module's mode comes back."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.set_grad_enabled(gradients):
            yield
    finally:
        for module in training:
            module.training = True


def device_of(model: nn.Module) -> torch.device:
    """Return where a model's weights are."""
    return next(model.parameters()).device
