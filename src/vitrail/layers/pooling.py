"""Attention pooling: one learned query looks at all patches."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.layers.attention import attend
from vitrail.layers.block import NORM_EPS, Mlp, initialise


class AttentionPool(nn.Module):
    """Make one vector of tokens by attention from a learned query, then an MLP with a residual around.

    The multi-head attention pooling (MAP) head of Scaling Vision Transformers (Zhai et al. 2022);
    parameter names are those of timm's. ``activation`` is that of the MLP.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        mlp_ratio: float = 4.0,
        activation: Callable[[Tensor], Tensor] = F.gelu,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.latent = nn.Parameter(torch.empty(1, 1, width))
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.mlp = Mlp(width, round(width * mlp_ratio), activation=activation)
        self.apply(initialise)
        nn.init.trunc_normal_(self.latent, std=width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Pool ``(B, N, D)`` to ``(B, D)``."""
        batch, count, width = tokens.shape
        head_width = width // self.num_heads
        q = self.q(self.latent).view(1, 1, self.num_heads, head_width).transpose(1, 2)
        kv = self.kv(tokens).view(batch, count, 2, self.num_heads, head_width)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        pooled = attend(q.expand(batch, -1, -1, -1), k, v)
        pooled = self.proj(pooled.reshape(batch, width))
        return pooled + self.mlp(self.norm(pooled))
