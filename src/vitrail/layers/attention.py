"""Multi-head self-attention, and the choice of how to compute it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.layers.attention_cpu import fused_attention, is_supported, threads

Bias = Tensor | Callable[[Tensor], Tensor]
"""What is added to the scores, broadcastable to ``(B, K, N, N)``; or how to get that from the queries."""

Observer = Callable[[Tensor], None]
"""Is called with attention weights ``(B, K, N, N)``."""

Path = Literal["explicit", "deferred", "kernel", "sdpa"]
"""explicit: `plain_attention`, which has the weights; deferred: `deferred_attention`, for compilers; kernel: one fused
kernel of `vitrail.layers.attention_cpu`; sdpa: torch's ``scaled_dot_product_attention``."""

# Up to this many tokens the (N, N) matrix of a head stays in a CPU's cache, and two plain matrix products
# beat the fused kernel, most of all in the backward pass (docs/log.md has the measurements).
PLAIN_ON_CPU_UP_TO = 1024


def plain_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(E) + bias) v, step by step (ViT, equations 5 to 7 of appendix A).

    Args:
        q, k, v: ``(B, K, N, E)``.
        bias: added to the scores, broadcastable to ``(B, K, N, N)``.
        dropout: probability that a weight is dropped, in [0, 1).

    Returns:
        The result ``(B, K, N, E)`` and the weights before dropout ``(B, K, N, N)``.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if bias is not None:
        scores = scores + bias
    weights = scores.softmax(dim=-1)
    dropped = F.dropout(weights, dropout) if dropout else weights
    return dropped.to(v.dtype) @ v, weights


def deferred_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, dropout: float = 0.0) -> Tensor:
    """Attention that divides by the sum of each row last, when the values are mixed; for compilers.

    Softmax over rows must be done with a row before it can write any of it, so a compiled one keeps all of
    exp(scores) in fp32 between two passes. Here exp(scores) goes to the second product as it is, in one pass, and
    the ``E`` mixed values are divided instead of the ``N`` weights, as FlashAttention does it (Dao et al. 2022,
    section 3.1). The largest score, which only keeps exp within range, gets no gradient: it has none.

    Arguments as in `plain_attention`, whose result this is up to rounding: ``(B, K, N, E)``.
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    if bias is not None:
        scores = scores + bias
    weights = (scores - scores.detach().amax(dim=-1, keepdim=True)).exp()
    total = weights.sum(dim=-1, keepdim=True)
    dropped = F.dropout(weights, dropout) if dropout else weights
    return ((dropped.to(v.dtype) @ v) / total).to(v.dtype)


def choose_path(
    inputs: Tensor,
    tokens: int,
    *,
    sequences: int = 1,
    fused_heads: int = 0,
    dropout: float = 0.0,
    watched: bool = False,
) -> Path:
    """Choose how attention is computed: nowhere else is that decided. All paths give the same result up to rounding.

    Args:
        inputs: queries, keys and values in one tensor ``(B, T, 3 D)`` where the kernel may take them, else queries.
        tokens: N, length of a sequence.
        sequences: how many there are.
        fused_heads: K where the kernel may take the inputs; 0 where it cannot.
        dropout: probability that a weight is dropped.
        watched: whether somebody wants to see the weights.
    """
    on_cpu, short = inputs.device.type == "cpu", tokens <= PLAIN_ON_CPU_UP_TO
    if watched:
        return "explicit"
    # The kernel gives a head of a sequence to one thread; torch's own shares long sequences out.
    enough = short or sequences * fused_heads >= threads()
    if fused_heads and dropout == 0.0 and enough and is_supported(inputs, fused_heads):
        return "kernel"
    if not (on_cpu and short):
        return "sdpa"
    return "deferred" if torch.compiler.is_compiling() and not torch.compiler.is_exporting() else "explicit"


def attend(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None, dropout: float = 0.0, observe: Observer | None = None
) -> Tensor:
    """Attention of queries, keys and values that lie apart, by the path that `choose_path` chooses for them.

    Args:
        q, k, v, bias, dropout: as in `plain_attention`.
        observe: is given the weights before dropout, ``(B, K, N, N)``.

    Returns:
        ``(B, K, N, E)``.
    """
    path = choose_path(q, q.shape[-2], dropout=dropout, watched=observe is not None)
    if path == "sdpa":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    if observe is None:
        # Laid out by heads once: both products, and those of the backward pass, would each do it by themselves.
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    if path == "deferred":
        return deferred_attention(q, k, v, bias, dropout)
    mixed, weights = plain_attention(q, k, v, bias, dropout)
    if observe is not None:
        observe(weights)
    return mixed


def fused_qkv_attention(qkv: Tensor, heads: int, dropout: float = 0.0) -> Tensor:
    """Attention of queries, keys and values as one linear map leaves them, in one kernel where `choose_path` says so.

    Args:
        qkv: ``(B, N, 3 D)``.
        heads: K.
        dropout: probability that a weight is dropped, in [0, 1).

    Returns:
        ``(B, N, D)``.
    """
    path = choose_path(qkv, qkv.shape[1], sequences=qkv.shape[0], fused_heads=heads, dropout=dropout)
    if path == "kernel":
        return fused_attention(qkv, heads)
    return merge_heads(attend(*split_heads(qkv, heads), dropout=dropout), heads)


def split_heads(qkv: Tensor, heads: int, tables: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Take queries, keys and values ``(B, N, 3 D)`` apart: each ``(B / S, S K, N, E)``.

    S sequences stand beside the heads, so that a bias of as many tables serves the batch.
    """
    _, tokens, width = qkv.shape
    head = width // 3 // heads
    qkv = qkv.view(-1, tables, tokens, 3, heads, head).permute(3, 0, 1, 4, 2, 5)
    q, k, v = qkv.reshape(3, -1, tables * heads, tokens, head).unbind(0)
    return q, k, v


def merge_heads(mixed: Tensor, heads: int) -> Tensor:
    """Put heads ``(B / S, S K, N, E)`` side by side: ``(B, N, D)``."""
    tokens, head = mixed.shape[2:]
    return mixed.reshape(-1, heads, tokens, head).transpose(1, 2).reshape(-1, tokens, heads * head)


class Attention(nn.Module):
    """Multi-head self-attention (ViT, appendix A) with one matrix for queries, keys and values.

    Attributes:
        observe: when set, called with the weights ``(B, K, N, N)`` of every forward pass; the result is the
            same up to rounding. `vitrail.explain.record` sets and unsets it.
    """

    observe: Observer | None = None

    def __init__(self, width: int, num_heads: int, attention_dropout: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not divisible by num_heads {num_heads}")
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, bias: Bias | None = None, last: int | None = None) -> Tensor:
        """Let tokens look at every token: all of them, or only the ``last``; ``(B, N, D)`` to ``(B, N or last, D)``."""
        dropout = self.attention_dropout if self.training else 0.0
        if bias is None and last is None and self.observe is None:
            return self.dropout(self.proj(fused_qkv_attention(self.qkv(tokens), self.num_heads, dropout)))
        q, k, v = self._project(tokens, last)
        if bias is not None and not isinstance(bias, Tensor):
            bias = bias(q)
        mixed = attend(q, k, v, bias, dropout, self.observe)
        return self.dropout(self.proj(merge_heads(mixed, self.num_heads)))

    def _project(self, tokens: Tensor, last: int | None) -> tuple[Tensor, ...]:
        """Make queries, keys and values ``(B, K, N, E)``; queries of the ``last`` tokens alone where that is asked."""
        if last is None:
            return split_heads(self.qkv(tokens), self.num_heads)
        heads, width = (self.num_heads, tokens.shape[-1] // self.num_heads), tokens.shape[-1]
        q = F.linear(tokens[:, -last:], self.qkv.weight[:width], self.qkv.bias[:width])
        kv = F.linear(tokens, self.qkv.weight[width:], self.qkv.bias[width:])
        k, v = kv.unflatten(-1, (2, *heads)).permute(2, 0, 3, 1, 4).unbind(0)
        return q.unflatten(-1, heads).transpose(1, 2), k, v
