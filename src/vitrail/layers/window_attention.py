"""Attention that stays inside the windows of a map, with a relative position bias (Swin, Liu et al. 2021)."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vitrail.layers.attention import Attention, attend, choose_path, merge_heads, plain_attention, split_heads
from vitrail.layers.attention_cpu import fused_attention
from vitrail.layers.relative_position import offset_array
from vitrail.layers.window_layout import (
    Partition,
    barrier_table,
    constant_table,
    move,
    region_table,
    window_members,
)


class WindowAttention(Attention):
    """Multi-head self-attention inside windows, with a relative position bias (Swin, equation 4).

    A slot attends to those of its own region of its own window: never to padding, nor across the seam of the
    cyclic shift. Bias and mask are one additive table; a forbidden pair gets minus infinity, hence a weight and a
    gradient of exactly zero.

    Args:
        width: D.
        num_heads: K.
        window: the largest window it is used with, which fixes the size of the bias table.
        bias: whether there is a relative position bias.
        appearance: whether the scaled product of query and key is in the scores; without it the bias alone says
            where to look (Swin, table 4, "rel. pos. w/o app.").
        attention_dropout, dropout: rates, in [0, 1).

    Attributes:
        relative_position_bias_table: ``((2 M_h - 1) * (2 M_w - 1), K)``, or None; rows as in `offset_array`.
        observe: when set, called with the weights of every forward pass as they were computed, ``(B * G, K, A, A)``
            image by image; where each of S windows has a table of its own, ``(B * G / S, S * K, A, A)``, the same
            numbers in the same order.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        window: tuple[int, int],
        bias: bool = True,
        appearance: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(width, num_heads, attention_dropout, dropout)
        self.window = window
        self.appearance = appearance
        offsets = (2 * window[0] - 1) * (2 * window[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(offsets, num_heads)) if bias else None
        if self.relative_position_bias_table is not None:
            nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(  # type: ignore[override]
        self, tokens: Tensor, partition: Partition, layout: Partition | None = None
    ) -> Tensor:
        """Let tokens look around in their windows.

        Args:
            tokens: ``(B, T, D)``.
            partition: the windows.
            layout: that of the tokens, before and after; the partition's when absent.

        Returns:
            ``(B, T, D)``.
        """
        layout = layout or partition
        qkv = self._qkv(tokens)
        dropout = self.attention_dropout if self.training else 0.0
        path = choose_path(
            qkv,
            partition.area,
            sequences=qkv.shape[0] * partition.windows,
            fused_heads=self.num_heads,
            dropout=dropout,
            watched=self.observe is not None,
        )
        if path == "kernel":
            return self.dropout(self.proj(self._mix_in_kernel(qkv, partition, layout)))
        windows = move(qkv, layout, partition).view(-1, partition.area, qkv.shape[-1])
        mixed = self._mix(windows, partition, dropout).view(tokens.shape[0], partition.slots, -1)
        return self.dropout(self.proj(move(mixed, partition, layout)))

    def _mix_in_kernel(self, qkv: Tensor, partition: Partition, layout: Partition) -> Tensor:
        """Let the slots of each window see one another in one kernel, ``(B, T, 3 D)`` to ``(B, T, D)``."""
        device = str(qkv.device)
        bias = self.bias((partition.window_h, partition.window_w))
        bias = None if bias is None else bias.float()
        regions = region_table(device, *partition) if partition.needs_mask else None
        if layout != partition:
            return fused_attention(qkv, self.num_heads, bias, window_members(device, *layout, *partition), regions)
        windows = qkv.view(-1, partition.area, qkv.shape[-1])
        return fused_attention(windows, self.num_heads, bias, regions=regions).view(*qkv.shape[:2], -1)

    def _mix(self, qkv: Tensor, partition: Partition, dropout: float) -> Tensor:
        """Let the slots of each window see one another, ``(B * G, A, 3 D)`` to ``(B * G, A, D)``."""
        table = self.additive(partition, qkv.dtype, str(qkv.device))
        # As many windows stand beside the heads as have a table of their own.
        q, k, v = split_heads(qkv, self.num_heads, 1 if table is None else len(table))
        table = None if table is None else table.flatten(0, 1).unsqueeze(0)
        return merge_heads(attend(q, k, v, table, dropout, self.observe), self.num_heads)

    def plain_forward(self, image: Tensor, partition: Partition) -> Tensor:
        """Do what `forward` does, step by step as the paper draws it (figure 4): shift, cut, attend, put back.

        Nothing here is fast; it says what the fast ways compute, and tests hold them to it.

        Args:
            image: ``(B, h, w, D)``.
            partition: the windows.

        Returns:
            ``(B, h, w, D)``.
        """
        height, width = partition.covered
        down, right = partition.shift_h, partition.shift_w
        # Regions that must not see one another: what the cyclic shift carries over, and padding.
        region = torch.zeros(1, height, width, 1, device=image.device)
        region[:, :down] += 1
        region[:, :, :right] += 2
        region[:, partition.h :] = region[:, :, partition.w :] = -1
        padded = F.pad(image, (0, 0, 0, width - partition.w, 0, height - partition.h))
        windows, regions = (_cut(part.roll((-down, -right), dims=(1, 2)), partition) for part in (padded, region))
        forbidden = regions != regions.transpose(-2, -1)  # (G, A, A)
        mask = torch.zeros_like(forbidden, dtype=image.dtype).masked_fill(forbidden, -math.inf)
        q, k, v = split_heads(self._qkv(windows), self.num_heads)  # (B * G, K, A, E)
        scores = mask.repeat(len(image), 1, 1).unsqueeze(1)
        if (bias := self.bias((partition.window_h, partition.window_w))) is not None:
            scores = scores + bias
        mixed, _ = plain_attention(q, k, v, scores)
        rolled = _uncut(self.proj(merge_heads(mixed, self.num_heads)), partition)
        return rolled.roll((down, right), dims=(1, 2))[:, : partition.h, : partition.w]

    def _qkv(self, tokens: Tensor) -> Tensor:
        """Make queries, keys and values ``(B, T, 3 D)``; queries of zero where the bias alone says where to look."""
        qkv = self.qkv(tokens)
        if self.appearance:
            return qkv
        return torch.cat([torch.zeros_like(qkv[..., : tokens.shape[-1]]), qkv[..., tokens.shape[-1] :]], dim=-1)

    def bias_table(self) -> Tensor | None:
        """Return the bias of each offset, ``((2 M_h - 1) * (2 M_w - 1), K)``, or None if there is none."""
        return self.relative_position_bias_table

    def bias(self, window: tuple[int, int] | None = None) -> Tensor | None:
        """Return the relative position bias of each query and key, ``(K, A, A)``, or None if there is none.

        Args:
            window: height and width, not larger than the attention's own window, which is meant when absent.
        """
        table = self.bias_table()
        if table is None:
            return None
        used = window or self.window
        device = str(table.device)
        if torch.compiler.is_compiling() and torch.is_grad_enabled():
            # A compiler would look every score's row up anew where the bias is added, for each window of each
            # image, and scatter the gradient in the same way; the result of a matrix product it keeps.
            with torch.autocast(table.device.type, enabled=False):
                chosen = table.T @ _bias_choice(device, *used, *self.window)
        else:
            chosen = table.T.index_select(1, _bias_rows(device, *used, *self.window))
        return chosen.view(self.num_heads, used[0] * used[1], -1)

    def by_offset(self) -> Tensor | None:
        """Return the bias by offset of the key from its query, ``(K, 2 M_h - 1, 2 M_w - 1)``, or None without one."""
        table = self.bias_table()
        if table is None:
            return None
        # A table's offsets go from key to query.
        return table.T.unflatten(1, (2 * self.window[0] - 1, 2 * self.window[1] - 1)).flip(1, 2)

    def additive(self, partition: Partition, dtype: torch.dtype, device: str) -> Tensor | None:
        """Return what is added to the scores, bias and mask in one.

        Returns:
            ``(1, K, A, A)`` if all windows are alike, ``(G, K, A, A)`` if not, or None if there is nothing to add.
        """
        bias = self.bias((partition.window_h, partition.window_w))
        if not partition.needs_mask:
            return None if bias is None else bias.to(dtype).unsqueeze(0)
        if bias is None:
            bias = torch.zeros(self.num_heads, 1, 1, device=device)
        # A sum, not a choice between the two: compiled, choosing takes twice as long.
        barrier = barrier_table(device, *partition).to(dtype).unsqueeze(1)
        return bias.to(dtype) + barrier


def _table_rows(window: tuple[int, int], table: tuple[int, int]) -> NDArray[np.int64]:
    """Return rows, in the bias table of one window, of queries and keys in a window no larger, ``(A * A,)``."""
    (h, w), (table_h, table_w) = window, table
    return offset_array(table).reshape(table_h, table_w, table_h, table_w)[:h, :w, :h, :w].reshape(-1)


@constant_table
def _bias_rows(h: int, w: int, table_h: int, table_w: int) -> NDArray[np.int64]:
    """The rows of `_table_rows`."""
    return _table_rows((h, w), (table_h, table_w))


@constant_table
def _bias_choice(h: int, w: int, table_h: int, table_w: int) -> NDArray[np.float32]:
    """One where a row of the table, ``(offsets, A * A)``, is that of `_table_rows`, else 0."""
    offsets = np.arange((2 * table_h - 1) * (2 * table_w - 1))
    return (_table_rows((h, w), (table_h, table_w)) == offsets[:, None]).astype(np.float32)


def _cut(image: Tensor, partition: Partition) -> Tensor:
    """Cut a map ``(B, H, W, D)`` of the covered size into windows: ``(B * G, A, D)``."""
    squares = image.unflatten(2, (-1, partition.window_w)).unflatten(1, (-1, partition.window_h))
    return squares.transpose(2, 3).reshape(-1, partition.area, image.shape[-1])


def _uncut(windows: Tensor, partition: Partition) -> Tensor:
    """Put windows side by side, the inverse of `_cut`."""
    squares = windows.reshape(-1, *partition.counts, partition.window_h, partition.window_w, windows.shape[-1])
    return squares.transpose(2, 3).reshape(-1, *partition.covered, windows.shape[-1])
