"""Self-attention as in ViTs since 2021: fewer biases, normalised or rotated queries and keys, a bias on the scores."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.layers.attention import Attention, attend, fused_qkv_attention, merge_heads, split_heads
from vitrail.layers.rope import Rotation, rotate

QkvBias = Literal["all", "query_value", "none"]
"""Which of queries, keys and values get a bias. BEiT and DINOv3 leave that of the keys out."""


class QueryValueBias(nn.Module):
    """A linear map to queries, keys and values whose keys have no bias; ``(B, N, D)`` to ``(B, N, 3 D)``.

    To be mixed into an attention, whose ``qkv`` it replaces; names are BEiT's, Swin V2's and timm's.

    Attributes:
        q_bias, v_bias: ``(D,)``.
    """

    qkv: nn.Linear

    def use_query_value_bias(self, width: int) -> None:
        """Take the bias of ``qkv`` away, and make those of queries and values."""
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))

    def biased_qkv(self, tokens: Tensor) -> Tensor:
        """Make queries, keys and values."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        return F.linear(tokens, self.qkv.weight, bias)


class ModernAttention(QueryValueBias, Attention):
    """Multi-head self-attention with the variants of ViTs since 2021.

    Args:
        width: D.
        num_heads: K.
        qkv_bias: which biases there are.
        qk_norm: LayerNorm over the channels of each head of queries and keys (Dehghani et al. 2023, ViT-22B).
        norm_eps: of those norms.
        attention_dropout, dropout: rates, in [0, 1).
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        qkv_bias: QkvBias = "all",
        qk_norm: bool = False,
        norm_eps: float = 1e-6,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(width, num_heads, attention_dropout, dropout)
        self.qkv_bias = qkv_bias
        if qkv_bias == "none":
            self.qkv = nn.Linear(width, 3 * width, bias=False)
        elif qkv_bias == "query_value":
            self.use_query_value_bias(width)
        head = width // num_heads
        self.q_norm = nn.LayerNorm(head, eps=norm_eps) if qk_norm else None
        self.k_norm = nn.LayerNorm(head, eps=norm_eps) if qk_norm else None

    def forward(  # type: ignore[override]
        self, tokens: Tensor, bias: Tensor | None = None, turned: Rotation | None = None
    ) -> Tensor:
        """Let every token look at all: ``(B, N, D)`` to ``(B, N, D)``.

        Args:
            tokens: those of patches last.
            bias: added to the scores, broadcastable to ``(B, K, N, N)``.
            turned: the rotation of the patches' queries and keys.
        """
        qkv = self.prepared_qkv(tokens, turned)
        dropout = self.attention_dropout if self.training else 0.0
        if bias is None and self.observe is None:
            return self.dropout(self.proj(fused_qkv_attention(qkv, self.num_heads, dropout)))
        bias = None if bias is None else bias.to(qkv.dtype)
        mixed = attend(*split_heads(qkv, self.num_heads), bias, dropout, self.observe)
        return self.dropout(self.proj(merge_heads(mixed, self.num_heads)))

    def prepared_qkv(self, tokens: Tensor, turned: Rotation | None) -> Tensor:
        """Make queries, keys and values ``(B, N, 3 D)``, normalised and rotated where that is due."""
        qkv = self.biased_qkv(tokens) if self.qkv_bias == "query_value" else self.qkv(tokens)
        if self.q_norm is None and turned is None:
            return qkv
        parts = qkv.unflatten(-1, (3, self.num_heads, -1))  # (B, N, 3, K, E)
        turning, values = parts[:, :, :2], parts[:, :, 2:]
        if self.q_norm is not None and self.k_norm is not None:
            normed = [norm(part) for norm, part in zip((self.q_norm, self.k_norm), turning.unbind(2), strict=True)]
            turning = torch.stack(normed, dim=2).to(values.dtype)
        if turned is not None:
            turning = rotate(turning, turned)
        return torch.cat([turning, values], dim=2).flatten(2)
