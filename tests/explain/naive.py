"""A ViT written out in numpy, float64, one image at a time, that lets its inside be disturbed.

Gradients are central differences, so that nothing here shares a line with what it is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor

from tests.weights.random_weights import randomise
from vitrail.heads.names import build_model

Array = NDArray[np.float64]
STEP = 1e-5

VIT: dict[str, Any] = {"image_size": (8, 12), "patch_size": 4, "width": 8, "depth": 2, "num_heads": 2}


def classifier(name: str = "vit_ti16", seed: int = 3, **options: Any) -> Any:
    """A small classifier of three classes in float64, no parameter of which is at its initial value."""
    chosen = {**VIT, **options} if name.startswith("vit") else options
    return randomise(build_model(name, num_classes=3, **chosen), seed).double().eval()


def noise(count: int, height: int, width: int, seed: int = 5) -> Tensor:
    return torch.randn(count, 3, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer_norm(rows: Array, weight: Array, bias: Array) -> Array:
    result = np.empty_like(rows)
    for i, row in enumerate(rows):
        result[i] = (row - row.mean()) / math.sqrt(((row - row.mean()) ** 2).mean() + 1e-6) * weight + bias
    return result


class NaiveViT:
    """A ViT with a class token or the mean pooled, and a linear head."""

    def __init__(self, model: Any) -> None:
        self.config = model.backbone.config
        self.state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}

    def tokens(self, image: Array, visible: Sequence[int] | None = None) -> Array:
        """Class token and patches with positions, patch by patch and number by number."""
        side, state = self.config.patch_size, self.state
        kernel, bias = state["backbone.patch_embed.proj.weight"], state["backbone.patch_embed.proj.bias"]
        rows, columns = image.shape[1] // side, image.shape[2] // side
        positions = state["backbone.pos_embed"][0]
        tokens = [state["backbone.cls_token"][0, 0] + positions[0]]
        for number in range(rows * columns) if visible is None else visible:
            top, left = number // columns * side, number % columns * side
            patch = image[:, top : top + side, left : left + side]
            values = [float((kernel[d] * patch).sum()) + bias[d] for d in range(len(bias))]
            tokens.append(np.array(values) + positions[1 + number])
        return np.stack(tokens)

    def block(self, tokens: Array, number: int, disturb: Array | float = 0.0) -> tuple[Array, Array]:
        """One block, with something added to its attention weights ``(K, N, N)``: tokens after it, and the weights."""
        state, heads = self.state, self.config.num_heads
        name, width = f"backbone.blocks.{number}.", tokens.shape[1] // heads

        def linear(rows: Array, layer: str) -> Array:
            return rows @ state[name + layer + ".weight"].T + state[name + layer + ".bias"]

        normed = layer_norm(tokens, state[name + "norm1.weight"], state[name + "norm1.bias"])
        qkv = linear(normed, "attn.qkv").reshape(len(tokens), 3, heads, width)
        weights, mixed = np.zeros((heads, len(tokens), len(tokens))), np.zeros((len(tokens), heads, width))
        for head in range(heads):
            for i in range(len(tokens)):
                scores = [qkv[i, 0, head] @ qkv[j, 1, head] / math.sqrt(width) for j in range(len(tokens))]
                shares = np.exp(np.array(scores) - max(scores))
                weights[head, i] = shares / shares.sum()
        used = weights + disturb
        for head in range(heads):
            for i in range(len(tokens)):
                mixed[i, head] = sum(used[head, i, j] * qkv[j, 2, head] for j in range(len(tokens)))
        tokens = tokens + linear(mixed.reshape(len(tokens), -1), "attn.proj")
        hidden = linear(layer_norm(tokens, state[name + "norm2.weight"], state[name + "norm2.bias"]), "mlp.fc1")
        return tokens + linear(0.5 * hidden * (1 + erf(hidden / math.sqrt(2))), "mlp.fc2"), weights

    def answer(self, tokens: Array) -> Array:
        """Logits of the tokens after the last block."""
        state = self.state
        if self.config.pool == "class":
            vector = layer_norm(tokens[:1], state["backbone.norm.weight"], state["backbone.norm.bias"])[0]
        else:
            mean = tokens[1:].mean(axis=0, keepdims=True)
            vector = layer_norm(mean, state["backbone.fc_norm.weight"], state["backbone.fc_norm.bias"])[0]
        return state["head.weight"] @ vector + state["head.bias"]

    def logits(self, image: Tensor | Array, visible: Sequence[int] | None = None, disturb: dict | None = None) -> Array:
        """Logits of an image, or of some of its patches, with something added to the attention of some blocks."""
        tokens = self.tokens(np.asarray(image), visible)
        for number in range(self.config.depth):
            tokens, _ = self.block(tokens, number, (disturb or {}).get(number, 0.0))
        return self.answer(tokens)


def log_probability(logits: Array, chosen: int) -> float:
    return float(logits[chosen] - np.log(np.exp(logits - logits.max()).sum()) - logits.max())


def slope(function: Callable[[Array], float], shape: tuple[int, ...]) -> Array:
    """The gradient at 0 of a function of what is added, by central differences, one entry after the other."""
    gradient = np.zeros(shape)
    for place in np.ndindex(*shape):
        added = np.zeros(shape)
        added[place] = STEP
        gradient[place] = (function(added) - function(-added)) / (2 * STEP)
    return gradient
