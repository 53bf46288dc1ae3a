"""Which Swin V2 tensors under plain names belong to.

Only the table of offsets, which timm and transformers leave out of their files, says which windows the weights were
trained with. Without it those are the published ones of the shape, on images of 256 pixels: 8 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from vitrail.models.swin_v2 import SwinV2Config
from vitrail.weights.formats.swin_v2 import COORDINATES, pretrained_side, window_of
from vitrail.weights.reader import State
from vitrail.weights.stated import swin_as_stated

Sizes = Mapping[str, tuple[int, ...]]

WINDOWS_A_SIDE = 8
"""Images of published Swin V2 are so many windows of the first stage wide, but for windows that were enlarged."""


def swin_v2_config(
    sizes: Sizes, state: State, image_size: tuple[int, int] | None, stated: dict[str, Any]
) -> SwinV2Config:
    """Return the config of the Swin V2 that tensors belong to.

    Args:
        sizes: shape of each tensor, by its plain name.
        state: the tensors.
        image_size: height and width in pixels, where they are known.
        stated: what ``config.json`` beside the weights says; asked only where there is no table of offsets.
    """
    width, channels, patch_size, _ = sizes["patch_embed.proj.weight"]
    depths = _depths(sizes)
    tables = [state[f"layers.{s}.blocks.0.attn.{COORDINATES}"] for s in range(len(depths)) if _has_table(state, s)]
    windows = [window_of(table) for table in tables]
    window = windows[0] if windows else SwinV2Config.window
    config = SwinV2Config(
        image_size=_image_size(windows, window, patch_size, image_size),
        patch_size=patch_size,
        channels=channels,
        embed_width=width,
        depths=depths,
        head_width=width // sizes["layers.0.blocks.0.attn.logit_scale"][0],
        window=window,
        pretrained_windows=_pretrained(tables, windows),
        mlp_ratio=sizes["layers.0.blocks.0.mlp.fc1.weight"][0] / width,
    )
    return config if tables else swin_as_stated(config, stated)


def _has_table(state: State, stage: int) -> bool:
    return f"layers.{stage}.blocks.0.attn.{COORDINATES}" in state


def _depths(sizes: Sizes) -> tuple[int, ...]:
    """Count the blocks of each stage."""
    blocks = {tuple(name.split(".")[1:4:2]) for name in sizes if name.startswith("layers.") and ".blocks." in name}
    stages = 1 + max(int(stage) for stage, _ in blocks)
    return tuple(sum(int(stage) == number for stage, _ in blocks) for number in range(stages))


def _pretrained(tables: list[torch.Tensor], windows: list[tuple[int, int]]) -> tuple[int, ...]:
    """Return the sides of the windows that the weights were pretrained with; () where they are the windows' own."""
    if any(table.is_meta for table in tables):
        return ()
    sides = tuple(pretrained_side(table) for table in tables)
    return () if all(window == (side, side) for side, window in zip(sides, windows, strict=True)) else sides


def _image_size(
    windows: list[tuple[int, int]], window: tuple[int, int], patch_size: int, known: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the size of images whose maps have the windows that the stages have: the known one where it fits."""
    if known and all(_fits(known, patch_size, windows, axis) for axis in (0, 1)):
        return known
    shrunk = [(stage, own) for stage, own in enumerate(windows) if own != window]
    if shrunk:
        stage, (h, w) = shrunk[0]
        return h * 2**stage * patch_size, w * 2**stage * patch_size
    # A window of 12 in every stage but the last, of 6, belongs to 192 pixels; one that never shrank to 8 windows.
    return window[0] * WINDOWS_A_SIDE * patch_size, window[1] * WINDOWS_A_SIDE * patch_size


def _fits(size: tuple[int, int], patch_size: int, windows: list[tuple[int, int]], axis: int) -> bool:
    """Whether the maps of images of this size have windows of these sizes along one axis."""
    side = -(-size[axis] // patch_size)
    for own in windows:
        if min(side, windows[0][axis]) != own[axis]:
            return False
        side = -(-side // 2)
    return True
