"""What a model costs: parameters, sequence length, and multiply-accumulates of one picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vitrail.config import pair
from vitrail.layers.attention import Attention
from vitrail.layers.masking import Split, visible_count
from vitrail.layers.patches import PatchEmbedding
from vitrail.layers.pooling import AttentionPool
from vitrail.layers.relative import RelativeKeys
from vitrail.layers.windows import WindowAttention
from vitrail.models.mae import MAE

Inputs = tuple[Any, ...]

# Every module that multiplies, and how often, given what went in and what came out. Modules inside it count for
# themselves. Norms, activations, softmax and sums are left out, as in the papers' figures.
COUNTERS: dict[type[nn.Module], Callable[[Any, Inputs, Tensor], int]] = {
    nn.Linear: lambda module, inputs, output: output.numel() * module.in_features,
    nn.Conv2d: lambda module, inputs, output: output.numel() * module.weight[0].numel(),
    PatchEmbedding: lambda module, inputs, output: output.numel() * module.proj.weight[0].numel(),
    # Scores, then the weighted sum: N for each of N x D numbers, twice.
    Attention: lambda module, inputs, output: 2 * output.numel() * output.shape[1],
    # The same within each window, padding included (Swin, equation 2).
    WindowAttention: lambda module, inputs, output: 2 * output.numel() * inputs[1].area,
    AttentionPool: lambda module, inputs, output: 2 * inputs[0].numel(),
    # Every query with every offset's key.
    RelativeKeys: lambda module, inputs, output: inputs[0].numel() * module.keys_for(inputs[1]).shape[1],
}


@dataclass(frozen=True)
class Cost:
    """What one picture costs.

    Attributes:
        parameters: how many there are, fixed positions included.
        multiply_accumulates: of one forward pass with one picture; twice that is FLOPs.
        tokens: length of the sequence, the class token included; 0 for a model without tokens. For a masked
            autoencoder that of the whole picture, though its encoder sees the visible part only.
    """

    parameters: int
    multiply_accumulates: int
    tokens: int


def cost(model: nn.Module, image_size: int | tuple[int, int] | None = None) -> Cost:
    """Count what a model costs, without computing anything and without changing it.

    Args:
        model: an `ImageClassifier`, a backbone or a `MAE`, on any device; on ``"meta"`` even giants are counted
            at once.
        image_size: height and width of the picture, in pixels; the model's own when absent.
    """
    whole: Any = model
    backbone = whole.encoder if isinstance(whole, MAE) else getattr(whole, "backbone", whole)
    height, width = backbone.config.image_size if image_size is None else pair(image_size)
    picture = torch.empty(1, backbone.config.channels, height, width, device="meta")
    tokens = 0
    if hasattr(backbone, "patch_embed"):
        h, w = backbone.patch_embed.grid(height, width)
        tokens = h * w + backbone.prefix
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, multiply_accumulates(model, picture), tokens)


def multiply_accumulates(model: nn.Module, picture: Tensor) -> int:
    """Count a forward pass of ``picture``, ``(1, C, H, W)`` on the device ``"meta"``, by the shapes that occur."""
    counted: list[int] = []
    with ExitStack() as hooks:
        for module in model.modules():
            counter = next((COUNTERS[kind] for kind in type(module).__mro__ if kind in COUNTERS), None)
            if counter is not None:
                hooks.enter_context(_counting(module, counter, counted))
        run: nn.Module = _MaskedPass(model) if isinstance(model, MAE) else model
        shapes = {name: tensor.to("meta") for name, tensor in (*run.named_parameters(), *run.named_buffers())}
        with torch.no_grad():
            functional_call(run, shapes, (picture,))
    return sum(counted)


def _counting(module: nn.Module, counter: Callable[[Any, Inputs, Tensor], int], counted: list[int]) -> Any:
    """Hook a module so that every call is counted; the hook goes when the context ends."""

    def count(module: nn.Module, inputs: Inputs, output: Tensor) -> None:
        counted.append(counter(module, inputs, output))

    return module.register_forward_hook(count)


class _MaskedPass(nn.Module):
    """Encoder and decoder of a masked autoencoder at its mask ratio, with masks that hold shapes only."""

    def __init__(self, model: MAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Tensor) -> Tensor:
        grid = self.model.grid(picture)
        patches = grid[0] * grid[1]
        seen = visible_count(patches, self.model.config.mask_ratio)
        visible, hidden, restore = (
            torch.empty(1, count, dtype=torch.int64, device="meta") for count in (seen, patches - seen, patches)
        )
        tokens = self.model.encoder.forward_features(picture, visible)
        decoder = self.model.decoder
        decoded = decoder(tokens, Split(visible, hidden, restore), grid)[:, self.model.encoder.prefix :]
        return decoder.predict(decoder.norm(decoded))
