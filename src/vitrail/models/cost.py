"""What a model costs: parameters, sequence length, and multiply-accumulates of one image."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vitrail.config import pair
from vitrail.layers.attention import Attention
from vitrail.layers.cosine_attention import CosineWindowAttention
from vitrail.layers.masking import Split, visible_count
from vitrail.layers.modern_attention import ModernAttention
from vitrail.layers.patches import PatchEmbedding
from vitrail.layers.pooling import AttentionPool
from vitrail.layers.relative_position import RelativeKeys
from vitrail.layers.window_attention import WindowAttention
from vitrail.models.backbone import backbone_of
from vitrail.models.mae import MAE

Inputs = tuple[Any, ...]


def _query_value_biased(module: Any, inputs: Inputs, output: Tensor) -> int:
    """Count the map to queries, keys and values where it is no module of its own: keys have no bias."""
    return 3 * output.numel() * output.shape[-1] if hasattr(module, "q_bias") else 0


def _within_windows(module: Any, inputs: Inputs, output: Tensor) -> int:
    """Count scores and weighted sum of each window, padding included (Swin, equation 2)."""
    return 2 * len(output) * inputs[1].slots * output.shape[-1] * inputs[1].area


# Every module that multiplies, and how often, given what went in and what came out. Modules inside it count for
# themselves. Norms, activations, softmax and sums are left out, as in the papers' figures.
COUNTERS: dict[type[nn.Module], Callable[[Any, Inputs, Tensor], int]] = {
    nn.Linear: lambda module, inputs, output: output.numel() * module.in_features,
    nn.Conv2d: lambda module, inputs, output: output.numel() * module.weight[0].numel(),
    PatchEmbedding: lambda module, inputs, output: output.numel() * module.proj.weight[0].numel(),
    # Scores, then the weighted sum: N for each of N x D numbers, twice.
    Attention: lambda module, inputs, output: 2 * output.numel() * output.shape[1],
    ModernAttention: lambda module, inputs, output: (
        2 * output.numel() * output.shape[1] + _query_value_biased(module, inputs, output)
    ),
    WindowAttention: _within_windows,
    CosineWindowAttention: lambda module, inputs, output: (
        _within_windows(module, inputs, output) + _query_value_biased(module, inputs, output)
    ),
    AttentionPool: lambda module, inputs, output: 2 * inputs[0].numel(),
    # Every query with every offset's key.
    RelativeKeys: lambda module, inputs, output: inputs[0].numel() * module.keys_for(inputs[1]).shape[1],
}


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Attributes:
        parameters: how many there are, fixed positions included.
        multiply_accumulates: of one forward pass with one image; twice that is FLOPs.
        tokens: length of the sequence, the class token included; 0 for a model without tokens. For a masked
            autoencoder that of the whole image, though its encoder sees the visible part only.
    """

    parameters: int
    multiply_accumulates: int
    tokens: int


def cost(model: nn.Module, image_size: int | tuple[int, int] | None = None) -> Cost:
    """Count what a model costs, without computing anything and without changing it.

    Args:
        model: an `ImageClassifier`, a backbone, a `MAE` or a `MPP`, on any device; on ``"meta"`` even giants are
            counted at once.
        image_size: height and width of the image, in pixels; the model's own when absent.
    """
    backbone = backbone_of(model)
    height, width = backbone.config.image_size if image_size is None else pair(image_size)
    image = torch.empty(1, backbone.config.channels, height, width, device="meta")
    grid = backbone.token_grid(height, width)
    tokens = 0 if grid is None else grid[0] * grid[1] + backbone.prefix_tokens
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(parameters, multiply_accumulates(model, image), tokens)


def multiply_accumulates(model: nn.Module, image: Tensor, within: type[nn.Module] = nn.Module) -> int:
    """Count a forward pass of ``image``, ``(1, C, H, W)`` on the device ``"meta"``, by the shapes that occur.

    With ``within`` only what happens inside modules of that kind is counted.
    """
    counted: list[int] = []
    seen: dict[Hashable, tuple[int, Tensor]] = {}
    with ExitStack() as hooks:
        inside = {part for module in model.modules() if isinstance(module, within) for part in module.modules()}
        for module in model.modules():
            counter = next((COUNTERS[kind] for kind in type(module).__mro__ if kind in COUNTERS), None)
            if counter is not None and module in inside:
                hooks.enter_context(_counting(module, counter, counted))
            for block in module if isinstance(module, (nn.ModuleList, nn.Sequential)) else ():
                hooks.enter_context(_once(block, counted, seen))
        run: nn.Module = _MaskedPass(model) if isinstance(model, MAE) else model
        shapes = {name: tensor.to("meta") for name, tensor in (*run.named_parameters(), *run.named_buffers())}
        with torch.no_grad():
            functional_call(run, shapes, (image,))
    return sum(counted)


def _counting(module: nn.Module, counter: Callable[[Any, Inputs, Tensor], int], counted: list[int]) -> Any:
    """Hook a module so that every call is counted; the hook goes when the context ends."""

    def count(module: nn.Module, inputs: Inputs, output: Tensor) -> None:
        counted.append(counter(module, inputs, output))

    return module.register_forward_hook(count)


@contextmanager
def _once(block: nn.Module, counted: list[int], seen: dict[Hashable, tuple[int, Tensor]]) -> Iterator[None]:
    """Run a block only if none like it was run on inputs of the same shape: a giant has dozens that cost the same."""
    run = block.forward
    kind = (type(block), repr(block), *((name, tensor.shape) for name, tensor in block.named_parameters()))

    def forward(*inputs: Any) -> Any:
        key = (kind, *(value.shape if isinstance(value, Tensor) else id(value) for value in inputs))
        if key in seen:
            amount, output = seen[key]
            counted.append(amount)
            return torch.empty_like(output)
        before, output = sum(counted), run(*inputs)
        if isinstance(output, Tensor):
            seen[key] = (sum(counted) - before, output)
        return output

    block.forward = forward
    try:
        yield
    finally:
        del block.forward


class _MaskedPass(nn.Module):
    """Encoder and decoder of a masked autoencoder at its mask ratio, with masks that hold shapes only."""

    def __init__(self, model: MAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        grid = self.model.grid(image)
        patches = grid[0] * grid[1]
        seen = visible_count(patches, self.model.config.mask_ratio)
        visible, hidden, restore = (
            torch.empty(1, count, dtype=torch.int64, device="meta") for count in (seen, patches - seen, patches)
        )
        mask = torch.empty(1, patches, dtype=torch.bool, device="meta")
        parts = Split(visible, hidden, restore, mask)
        decoded = self.model.decode(self.model.encode(image, parts), parts, grid)
        return self.model.predict(decoded[:, self.model.encoder.prefix_tokens :])
