"""The position embeddings a ViT can have, and where they come in: the ablations of the paper's appendix D.4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from vitrail.layers.attention import Bias
from vitrail.layers.patches import take
from vitrail.layers.positions import Learned2d, resize_positions, sincos_2d
from vitrail.layers.relative_position import RelativeBias, RelativeKeys

PositionKind = Literal["learned", "learned_2d", "sincos_2d", "relative", "relative_bias", "none"]
"""learned: 1-D, trained; learned_2d: rows and columns, trained; sincos_2d: fixed sines and cosines, as in MAE;
relative: the paper's keys for 1-D offsets; relative_bias: a table of 2-D offsets; none."""

PositionPlace = Literal["stem", "layers", "layers_shared"]
"""Once before the first block; before every block, each with its own; before every block, the same. Relative ones act
in every block, and are each block's own unless shared."""

Table = nn.Parameter | Learned2d | None
"""Positions as tokens to be added, ``(1, prefix + N, D)``, or ``(L, ...)`` where every block has its own."""

BlockInput = tuple[Tensor | None, Bias | None]
"""What is added to a block's tokens, ``(1, T, D)`` or ``(B, T, D)``, and to the scores of its attention."""


@dataclass(frozen=True)
class PositionScheme:
    """Which positions a ViT has. It makes their weights, which are the model's own, and says what becomes of them.

    Attributes:
        kind: how positions are represented.
        place: where they come in.
        grid: ``(h, w)`` that the weights are made for.
        prefix: how many tokens come before the grid.
        width: D.
        depth: L.
        num_heads: K.
        resize: how the table is fitted to another grid; see `resize_positions`.
    """

    kind: PositionKind
    place: PositionPlace
    grid: tuple[int, int]
    prefix: int
    width: int
    depth: int
    num_heads: int
    resize: Literal["bicubic", "bilinear"]

    def new_table(self) -> Table:
        """Make the positions that are added to tokens; None where there are none."""
        copies = self.depth if self.place == "layers" else 1
        if self.kind == "learned":
            return nn.Parameter(torch.randn(copies, self.prefix + self.grid[0] * self.grid[1], self.width) * 0.02)
        if self.kind == "learned_2d":
            return Learned2d(self.grid, self.width, self.prefix, copies)
        if self.kind == "sincos_2d":
            fixed = torch.cat([torch.zeros(self.prefix, self.width), sincos_2d(self.grid, self.width)])
            return nn.Parameter(fixed.unsqueeze(0), requires_grad=False)
        return None

    def new_relative(self) -> nn.ModuleList:
        """Make the relative positions that are added to scores, one for each block or one for all; mostly none."""
        copies = range(1 if self.place == "layers_shared" else self.depth)
        heads = self.num_heads
        if self.kind == "relative":
            return nn.ModuleList(RelativeKeys(self.grid, self.prefix, heads, self.width // heads) for _ in copies)
        if self.kind == "relative_bias":
            return nn.ModuleList(RelativeBias(self.grid, self.prefix, heads) for _ in copies)
        return nn.ModuleList()

    @property
    def act_in_blocks(self) -> bool:
        """Whether blocks get anything but their tokens."""
        return self.kind.startswith("relative") or (self.kind != "none" and self.place != "stem")

    def fitted(self, table: Table, grid: tuple[int, int]) -> Tensor | None:
        """Return the positions ``(1 or L, prefix + h * w, D)`` for a grid, resized where it is not the model's own."""
        if table is None:
            return None
        values = table() if isinstance(table, Learned2d) else table
        return resize_positions(values, self.grid, grid, self.prefix, self.resize)

    def at_stem(self, table: Table, grid: tuple[int, int]) -> Tensor | None:
        """Return what is added to the embeddings, ``(1, prefix + h * w, D)``; None where positions come in later."""
        return self.fitted(table, grid) if self.place == "stem" else None

    def in_blocks(
        self, table: Table, relative: nn.ModuleList, grid: tuple[int, int], visible: Tensor | None
    ) -> list[BlockInput]:
        """Return what each block gets beside its tokens.

        Args:
            table, relative: as `new_table` and `new_relative` made them.
            grid: ``(h, w)`` of the whole image.
            visible: ``(B, V)`` indices of the only patches there are; all when absent.
        """
        return list(zip(self._added(table, grid, visible), self._biases(relative, grid, visible), strict=True))

    def _added(self, table: Table, grid: tuple[int, int], visible: Tensor | None) -> list[Tensor | None]:
        positions = None if self.place == "stem" else self.fitted(table, grid)
        if positions is None:
            return [None] * self.depth
        layers = positions.expand(self.depth, -1, -1).unsqueeze(1)
        if visible is None:
            return list(layers)
        prefix = torch.arange(self.prefix, device=visible.device).expand(len(visible), -1)
        seen = torch.cat([prefix, visible + self.prefix], dim=1)
        return [take(layer.expand(len(visible), -1, -1), seen) for layer in layers]

    def _biases(self, relative: nn.ModuleList, grid: tuple[int, int], visible: Tensor | None) -> list[Bias | None]:
        if not len(relative):
            return [None] * self.depth
        modules = list(relative) * (self.depth // len(relative))
        return [lambda queries, module=module: module(queries, grid, visible) for module in modules]
