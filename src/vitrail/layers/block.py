"""The transformer block, shared by ViT's encoder and MAE's decoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.layers.attention import Attention, Bias

NORM_EPS = 1e-6  # Flax's default, with which all published ViT and MAE weights were trained.


def drop_path(branch: Tensor, probability: float, training: bool) -> Tensor:
    """Stochastic depth: leave a residual branch out for whole samples (Huang et al. 2016).

    What stays is scaled by ``1 / (1 - probability)``, so that the expectation is unchanged.
    """
    if not training or probability == 0.0:
        return branch
    keep = 1.0 - probability
    shape = (branch.shape[0],) + (1,) * (branch.ndim - 1)
    return branch * (torch.rand(shape, device=branch.device, dtype=torch.float32) < keep).to(branch.dtype) / keep


class Mlp(nn.Module):
    """Two linear maps with a GELU between (ViT, equation 3); ``(..., D)`` to ``(..., D)``.

    Another activation than the exact GELU is for models that were trained with it.
    """

    def __init__(
        self, width: int, hidden: int, dropout: float = 0.0, activation: Callable[[Tensor], Tensor] = F.gelu
    ) -> None:
        super().__init__()
        self.activation = activation
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map every token by itself."""
        return self.dropout(self.fc2(self.dropout(self.activation(self.fc1(tokens)))))


class Block(nn.Module):
    """Attention and MLP, each with LayerNorm before and a residual around (ViT, equations 2 and 3)."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, num_heads, attention_dropout, dropout)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, int(width * mlp_ratio), dropout)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor, bias: Bias | None = None, last: int | None = None) -> Tensor:
        """``(B, N, D)`` to ``(B, N, D)``; ``bias`` is added to the attention scores.

        With ``last``, only so many tokens at the end are computed, which look at all: ``(B, last, D)``.
        """
        return self.transform(self.attend(tokens, bias, last))

    def attend(self, tokens: Tensor, bias: Bias | None = None, last: int | None = None) -> Tensor:
        """Run the first half of the block, in which tokens see one another."""
        mixed = self.attn(self.norm1(tokens), bias, last)
        tokens = tokens if last is None else tokens[:, -last:]
        # A half that is frozen is in evaluation mode by itself, and is then never left out.
        return tokens + drop_path(mixed, self.drop_path, self.attn.training)

    def transform(self, tokens: Tensor) -> Tensor:
        """Run the second half, in which every token is mapped by itself."""
        return tokens + drop_path(self.mlp(self.norm2(tokens)), self.drop_path, self.mlp.training)


def drop_path_rates(largest: float, depth: int) -> list[float]:
    """Rates rising linearly from 0 at the first block to ``largest`` at the last."""
    return [largest * i / max(1, depth - 1) for i in range(depth)]


def initialise(module: nn.Module) -> None:
    """Initialise linear maps and norms as ViT and MAE do: Xavier-uniform weights, zero biases, unit norms.

    To be used as ``model.apply(initialise)``; patch embedding and tokens initialise themselves.
    """
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
