"""A plain ViT whose blocks look at windows only, for images of detection's size."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.models.backbone import Backbone, Step, run_blocks, spread
from vitrail.models.vit import ViT

GLOBAL_BLOCKS = 4


def windowed_map(backbone: Backbone, images: Tensor, window: int) -> Tensor:
    """Run a ViT with attention inside windows, but for four evenly spaced blocks (Li et al. 2022, ViTDet, section 3).

    The class token takes no part. Windows at the border are filled up with zeros, which are attended to.

    Args:
        backbone: a ViT with positions in the stem, or none.
        images: ``(B, C, H, W)``.
        window: side of a window, in tokens.

    Returns:
        ``(B, D, h, w)``, normalised as the ViT's own map.

    Raises:
        ConfigError: it is no ViT, or has positions in its blocks.
    """
    if not isinstance(backbone, ViT) or backbone.positions.act_in_blocks:
        raise ConfigError("windows need a ViT whose positions are in the stem; use --dense.windows 0")
    h, w = backbone.token_grid(images.shape[-2], images.shape[-1])
    everywhere = spread(backbone.depth, min(GLOBAL_BLOCKS, backbone.depth))
    steps = [
        step if number in everywhere else _within_windows(step, h, w, window)
        for number, step in enumerate(backbone.block_steps(images.shape[-2], images.shape[-1]))
    ]
    tokens, _ = run_blocks(steps, backbone.tokens(images)[:, backbone.prefix_tokens :])
    return backbone.norm(tokens).transpose(1, 2).reshape(len(images), -1, h, w)


def _within_windows(step: Step, h: int, w: int, window: int) -> Step:
    return lambda tokens: from_windows(step(to_windows(tokens, h, w, window)), h, w, window)


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
