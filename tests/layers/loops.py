"""Attention in windows written from the Swin paper: loops over windows, pairs and heads; no mask, padding or roll."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from vitrail.layers.window_attention import WindowAttention
from vitrail.layers.window_layout import Partition


def cuts(length: int, window: int, shift: int) -> list[range]:
    """Cut an axis as figure 2 of the paper shows it: windows from the shift on, and what is left at both ends."""
    borders = [0, *range(shift, length, window), length]
    return [range(a, b) for a, b in itertools.pairwise(sorted(set(borders)))]


def attention_by_loops(attention: WindowAttention, image: Tensor, partition: Partition) -> Tensor:
    """Equation 4 for one map ``(h, w, D)``, window by window and head by head, as if there were no batch of windows."""
    h, w, width = image.shape
    heads, size = attention.num_heads, width // attention.num_heads
    table_h, table_w = attention.window
    result = torch.zeros_like(image)
    for ys in cuts(h, partition.window_h, partition.shift_h):
        for xs in cuts(w, partition.window_w, partition.shift_w):
            inside = [(y, x) for y in ys for x in xs]
            tokens = torch.stack([image[y, x] for y, x in inside])
            q, k, v = attention.qkv(tokens).chunk(3, dim=1)
            mixed = []
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                scores = q[:, part] @ k[:, part].T / size**0.5 * float(attention.appearance)
                table = attention.relative_position_bias_table
                if table is not None:
                    grid = table[:, head].view(2 * table_h - 1, 2 * table_w - 1)
                    scores = scores + torch.stack(
                        [
                            torch.stack([grid[qy - ky + table_h - 1, qx - kx + table_w - 1] for ky, kx in inside])
                            for qy, qx in inside
                        ]
                    )
                mixed.append(scores.softmax(dim=1) @ v[:, part])
            for (y, x), row in zip(inside, attention.proj(torch.cat(mixed, dim=1)), strict=True):
                result[y, x] = row
    return result
