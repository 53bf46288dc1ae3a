"""A plain ViT whose blocks look at windows only, for pictures of detection's size."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.heads.multi_scale import spread

GLOBAL_BLOCKS = 4


def windowed_map(backbone: Any, images: Tensor, window: int) -> Tensor:
    """Run a ViT with attention inside windows, but for four evenly spaced blocks (Li et al. 2022, ViTDet, section 3).

    The class token takes no part. Windows at the border are filled up with zeros, which are attended to.

    Args:
        backbone: a ViT with positions in the stem, or none.
        images: ``(B, C, H, W)``.
        window: side of a window, in tokens.

    Returns:
        ``(B, D, h, w)``, normalised as the ViT's own map.

    Raises:
        ConfigError: the ViT has positions in its blocks.
    """
    if len(backbone.relative) or backbone.config.positions_at != "stem":
        raise ConfigError("windows need a ViT whose positions are in the stem; use --dense.windows 0")
    h, w = backbone.patch_embed.grid(*images.shape[-2:])
    tokens = backbone.tokens(images)[:, backbone.prefix :]
    everywhere = spread(backbone.depth, min(GLOBAL_BLOCKS, backbone.depth))
    for number, block in enumerate(backbone.blocks):
        if number in everywhere:
            tokens = block(tokens)
        else:
            tokens = from_windows(block(to_windows(tokens, h, w, window)), h, w, window)
    return backbone.norm(tokens).transpose(1, 2).reshape(len(images), -1, h, w)


def to_windows(tokens: Tensor, h: int, w: int, window: int) -> Tensor:
    """Cut ``(B, h * w, D)`` into windows ``(B * G, window * window, D)``, filled up with zeros at the border."""
    batch, _, width = tokens.shape
    grid = F.pad(tokens.view(batch, h, w, width), (0, 0, 0, -w % window, 0, -h % window))
    rows, columns = grid.shape[1] // window, grid.shape[2] // window
    cut = grid.view(batch, rows, window, columns, window, width).transpose(2, 3)
    return cut.reshape(-1, window * window, width)


def from_windows(windows: Tensor, h: int, w: int, window: int) -> Tensor:
    """Put windows together again, the inverse of `to_windows`."""
    rows, columns = -(-h // window), -(-w // window)
    width = windows.shape[-1]
    grid = windows.view(-1, rows, columns, window, window, width).transpose(2, 3)
    return grid.reshape(-1, rows * window, columns * window, width)[:, :h, :w].reshape(-1, h * w, width)
