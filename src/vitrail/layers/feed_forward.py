"""What stands in a block beside attention in ViTs since 2021: other activations, a gate, a scale on each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.layers.block import Mlp

MlpKind = Literal["gelu", "gelu_tanh", "quick_gelu", "swiglu"]
"""gelu: two linear maps with the exact GELU between; gelu_tanh: with its tanh approximation, as Flax computes it
(SigLIP); quick_gelu: with x sigmoid(1.702 x), as OpenAI's CLIP has it; swiglu: gated (see `GatedMlp`)."""


def quick_gelu(values: Tensor) -> Tensor:
    """x sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP was trained with."""
    return values * torch.sigmoid(1.702 * values)


def gelu_tanh(values: Tensor) -> Tensor:
    """GELU's approximation by tanh (Hendrycks and Gimpel 2016)."""
    return F.gelu(values, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
}


class GatedMlp(nn.Module):
    """SwiGLU (Shazeer 2020): a linear map times the SiLU of another, then a third; ``(..., D)`` to ``(..., D)``.

    Attributes:
        fc1: to ``2 hidden`` channels, the gate's first; DINOv2's ``w12``.
        fc2: back to D.
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map every token by itself."""
        gate, values = self.fc1(tokens).chunk(2, dim=-1)
        return self.dropout(self.fc2(self.dropout(F.silu(gate) * values)))


def new_mlp(kind: MlpKind, width: int, hidden: int, dropout: float = 0.0) -> nn.Module:
    """Make the second half of a block."""
    if kind == "swiglu":
        return GatedMlp(width, hidden, dropout)
    return Mlp(width, hidden, dropout, ACTIVATIONS[kind])


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual branch (Touvron et al. 2021, CaiT); ``(..., D)`` to the same.

    Attributes:
        gamma: ``(D,)``.
    """

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), float(initial)))

    def forward(self, branch: Tensor) -> Tensor:
        """Scale every channel."""
        return branch * self.gamma
