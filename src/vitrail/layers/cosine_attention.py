"""Swin V2's attention inside windows: the cosine of query and key, and a bias that an MLP makes of log-spaced offsets.

Liu et al. 2022 (Swin Transformer V2: Scaling Up Capacity and Resolution), sections 3.2 and 3.3.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vitrail.layers.modern_attention import QueryValueBias
from vitrail.layers.window_attention import WindowAttention

LARGEST_SCALE = 100.0
"""What the cosine is multiplied by at most: the temperature stays at or above 0.01 (section 3.2)."""

FIRST_SCALE = 10.0
LARGEST_BIAS = 16.0
HIDDEN = 512
"""Channels between the two maps of the MLP that makes the bias; 512 in all published weights."""

REACH = 8.0
"""What the largest offset of the window the weights were pretrained with is scaled to, before the logarithm."""


class CosineWindowAttention(QueryValueBias, WindowAttention):
    """Multi-head self-attention inside windows by cosine, with a continuous relative position bias.

    Args:
        width: D.
        num_heads: K.
        window: height and width of a window, in tokens.
        pretrained_window: height and width of the window that the bias was learned for; the same when absent.
        attention_dropout, dropout: rates, in [0, 1).

    Attributes:
        logit_scale: ``(K, 1, 1)``, the logarithm of what the cosine is multiplied by.
        cpb_mlp: makes K numbers of an offset ``(dy, dx)``.
        relative_coords_table: ``(1, 2 M_h - 1, 2 M_w - 1, 2)``, the log-spaced offsets; kept with the weights, for
            nothing else there says which windows they were trained with.
    """

    relative_coords_table: Tensor

    def __init__(
        self,
        width: int,
        num_heads: int,
        window: tuple[int, int],
        pretrained_window: tuple[int, int] | None = None,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(width, num_heads, window, bias=False, attention_dropout=attention_dropout, dropout=dropout)
        offsets = torch.from_numpy(log_offsets(window, pretrained_window or window))
        self.register_buffer("relative_coords_table", offsets.unsqueeze(0).clone())
        self.use_query_value_bias(width)
        self.logit_scale = nn.Parameter(torch.full((num_heads, 1, 1), math.log(FIRST_SCALE)))
        self.cpb_mlp = nn.Sequential(nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, num_heads, bias=False))

    def _qkv(self, tokens: Tensor) -> Tensor:
        """Make queries, keys and values ``(B, T, 3 D)``, of which the scaled product is the scaled cosine.

        Attention divides the product by the square root of E; queries are multiplied by it beforehand.
        """
        q, k, v = self.biased_qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).unbind(2)
        scale = self.logit_scale.clamp(max=math.log(LARGEST_SCALE)).exp().view(-1, 1) * q.shape[-1] ** 0.5
        q = (F.normalize(q, dim=-1) * scale).to(v.dtype)
        return torch.stack([q, F.normalize(k, dim=-1).to(v.dtype), v], dim=2).flatten(2)

    def bias_table(self) -> Tensor:
        """Return the bias of each offset, ``((2 M_h - 1) * (2 M_w - 1), K)``, from 0 to 16."""
        return LARGEST_BIAS * self.cpb_mlp(self.relative_coords_table.flatten(0, 2)).sigmoid()


@functools.lru_cache(maxsize=64)
def log_offsets(window: tuple[int, int], pretrained: tuple[int, int]) -> NDArray[np.float32]:
    """Return every offset within a window, log-spaced (equation 4): ``(2 M_h - 1, 2 M_w - 1, 2)``.

    sign(d) log2(1 + |d|) / log2(8), where d is the offset over the largest one of the pretrained window, times 8.
    """
    axes = [
        np.arange(-(side - 1), side, dtype=np.float32) / max(own - 1, 1) * REACH
        for side, own in zip(window, pretrained, strict=True)
    ]
    offsets = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    spaced = np.sign(offsets) * np.log2(1 + np.abs(offsets), dtype=np.float32) / np.float32(math.log2(REACH))
    return spaced.astype(np.float32, copy=False)
