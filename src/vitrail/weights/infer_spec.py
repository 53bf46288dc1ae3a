"""Which model tensors under plain names belong to, read off their names and shapes alone: all it takes to build it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from vitrail.errors import ConfigError, WeightsError
from vitrail.heads.spec import ModelSpec
from vitrail.layers.patches import grid_of
from vitrail.models import hybrid, modern_sizes, resnet, swin, swin_v2, vit
from vitrail.models.mae import DECODER_HEAD_WIDTH
from vitrail.models.mpp import DOWNSIZED, LEVELS
from vitrail.weights.infer_modern import has_modern_shape, modern_config, modern_heads
from vitrail.weights.infer_swin_v2 import swin_v2_config
from vitrail.weights.reader import State

Sizes = dict[str, tuple[int, ...]]
"""The shape of each tensor, by its plain name."""

HEAD_WIDTH = 64
"""Channels a head in nearly all published ViTs, where neither file nor size says the number of heads."""

WINDOWS_A_SIDE = 8
"""Images of all published Swins are so many windows wide: 7 tokens of 4 pixels make 224, 12 make 384."""

BIAS_TABLE = "relative_position_bias_table"

# With other values of these a model still goes by its name: they belong to the images or to the task.
SAME_NAME = frozenset({"image_size", "channels", "pool", "class_token", "positions", "positions_at"})

UNKNOWN = "the tensors belong to no model known here "

# What reading shapes that do not belong together raises.
CONFUSED = (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError, StopIteration, ConfigError)


# Published ViTs that have no name here, by width and depth: SigLIP's so400m and giant-opt.
OTHER_HEADS = {(1152, 27): 16, (1536, 40): 16}


def published_heads(width: int, depth: int) -> int | None:
    """Return the number of heads of published ViTs of this width and depth; None where there is none.

    Widths of 192 to 1024 have 64 channels a head in all of them, whatever their depth.
    """
    for config in vit.SIZES.values():
        if (config.width, config.depth) == (width, depth):
            return config.num_heads
    usual = {config.width: config.num_heads for config in vit.SIZES.values() if config.width <= 1024}
    return OTHER_HEADS.get((width, depth), usual.get(width))


def known_heads(width: int, depth: int) -> int:
    """Return the number of heads of a published ViT of this width and depth, else one for 64 channels."""
    return published_heads(width, depth) or max(1, width // HEAD_WIDTH)


def heads_of_family(state: State, width: int, depth: int) -> int | None:
    """Return the number of heads of the published ViTs that have the parts of plain tensors; None where there is none.

    DINOv2's giant has 24 heads and SigLIP's, of the same width and depth, 16.
    """
    sizes = sizes_of(state)
    return modern_heads(sizes) if has_modern_shape(sizes) else published_heads(width, depth)


def spec_of(
    state: State,
    num_heads: int | None = None,
    image_size: tuple[int, int] | None = None,
    stated: dict[str, Any] | None = None,
) -> ModelSpec:
    """Return the model that tensors under plain names belong to, as `vitrail.heads.registry.build` takes it.

    What the tensors do not say is as published: 64 channels a head, Swins on images of 8 x 8 windows, fixed
    positions in MAE's, and positions that come in before the first block unless every block has its own.

    Args:
        state: the tensors.
        num_heads: number of heads, where it is known.
        image_size: height and width in pixels, where they are known; else positions say it, for square images.
        stated: what ``config.json`` beside them says.

    Raises:
        WeightsError: they belong to no model known here.
    """
    sizes = sizes_of(state)
    try:
        config, sizes_known = _config(state, num_heads, image_size, stated or {})
        name, options = _named(config, sizes_known)
        if "decoder.embed.weight" in sizes:
            return ModelSpec(name, options | {"positions": "sincos_2d"}, "mae", _decoder(sizes))
        if "predictor.mask_token" in sizes and isinstance(config, swin.SwinConfig):
            return ModelSpec(name, options, "simmim")  # nothing else pretrains a Swin
        if "predictor.mask_token" in sizes:
            return ModelSpec(name, options, "mpp", {"target": _mpp_target(sizes, config)})
    except CONFUSED as error:
        reason = f"it lacks {error.args[0]}" if isinstance(error, KeyError) else error
        raise WeightsError(f"{UNKNOWN}({reason})") from None
    head = sizes.get("head.weight")
    if head is None:
        return ModelSpec(name, options)
    hidden = {"representation": sizes["pre_logits.weight"][0]} if "pre_logits.weight" in sizes else {}
    return ModelSpec(name, options, "classifier", {"num_classes": head[0], **hidden})


def _config(
    state: State, num_heads: int | None, image_size: tuple[int, int] | None, stated: dict[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """Return the config of a backbone, and the named ones of its family."""
    sizes = sizes_of(state)
    if "stem.conv.weight" in sizes:
        return _resnet(sizes, image_size), resnet.SIZES
    if "layers.0.blocks.0.norm1.weight" in sizes:
        if "layers.0.blocks.0.attn.logit_scale" in sizes:
            return swin_v2_config(sizes, state, image_size, stated), swin_v2.SIZES
        return _swin(sizes, image_size), swin.SIZES
    if has_modern_shape(sizes):
        return modern_config(sizes, num_heads, image_size, stated), modern_sizes.SIZES
    config = _vit(sizes, num_heads, image_size)
    return config, hybrid.SIZES if isinstance(config, hybrid.HybridConfig) else vit.SIZES


def _vit(sizes: Sizes, num_heads: int | None, image_size: tuple[int, int] | None) -> vit.ViTConfig:
    width, channels, patch_size, _ = sizes["patch_embed.proj.weight"]
    depth, kind, own = blocks_of(sizes, "blocks."), vit.ViTConfig, {}
    stem = "patch_embed.backbone."
    if f"{stem}stem.conv.weight" in sizes:
        own["stem_depths"] = stages_of(sizes, f"{stem}stages.")
        kind, channels = hybrid.HybridConfig, sizes[f"{stem}stem.conv.weight"][1]
        patch_size *= 4 * 2 ** max(0, len(own["stem_depths"]) - 1)
    keys = next((shape for name, shape in sizes.items() if name.endswith(".keys")), None)
    heads = num_heads or (keys[0] if keys else known_heads(width, depth))
    positions, at, grid = _positions(sizes, depth, patch_size, image_size)
    return kind(
        image_size=_pixels(grid, patch_size, image_size),
        patch_size=patch_size,
        channels=channels,
        width=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=sizes["blocks.0.mlp.fc1.weight"][0] / width,
        pool=_pool(sizes),
        class_token="cls_token" in sizes,
        positions=positions,  # type: ignore[arg-type]
        positions_at=at,  # type: ignore[arg-type]
        **own,
    )


def _pixels(grid: tuple[int, int], patch_size: int, known: tuple[int, int] | None) -> tuple[int, int]:
    """Return the image size a grid is made for: the one that is known, unless it has another grid."""
    fits = known is not None and grid_of(*known, patch_size) == grid
    return known if known and fits else (grid[0] * patch_size, grid[1] * patch_size)


def _pool(sizes: Sizes) -> Any:
    if "attn_pool.latent" in sizes:
        return "attention"
    return "class" if "cls_token" in sizes and "fc_norm.weight" not in sizes else "mean"


def normalises_before_mean(names: Collection[str]) -> bool:
    """Whether a ViT without a class token has its final norm before the pooling, as timm's ``_gap`` models have."""
    pools = "fc_norm.weight" in names or "attn_pool.latent" in names or "cls_token" in names
    return not pools and {"norm.weight", "blocks.0.norm1.weight"} <= set(names)


def normalises_after_attention(names: Collection[str]) -> bool:
    """Whether a ViT is a published one that has its norms after attention and MLP (timm's ``_rpn``).

    No tensor shows it: they are the only ones without biases of queries, keys and values, and without a class token.
    """
    bare = "blocks.0.attn.qkv.weight" in names and "blocks.0.attn.qkv.bias" not in names
    return bare and "cls_token" not in names and "fc_norm.weight" in names


def _positions(
    sizes: Sizes, depth: int, patch_size: int, image_size: tuple[int, int] | None
) -> tuple[str, str, tuple[int, int]]:
    """Return the kind of positions, where they come in, and the grid they are made for."""
    known = grid_of(*image_size, patch_size) if image_size else None
    prefix = int("cls_token" in sizes)
    if "pos_embed" in sizes:
        copies, places, _ = sizes["pos_embed"]
        return "learned", "layers" if copies > 1 else "stem", _grid(places - prefix, known)
    if "pos_embed.x" in sizes:
        copies, columns, _ = sizes["pos_embed.x"]
        return "learned_2d", "layers" if copies > 1 else "stem", (sizes["pos_embed.y"][1], columns)
    at = "layers_shared" if blocks_of(sizes, "relative.") < depth else "stem"
    if "relative.0.keys" in sizes:
        return "relative", at, _grid((sizes["relative.0.keys"][1] - 3 * prefix + 1) // 2, known)
    if f"relative.0.{BIAS_TABLE}" in sizes:
        side = (math.isqrt(sizes[f"relative.0.{BIAS_TABLE}"][0] - 3 * prefix) + 1) // 2
        return "relative_bias", at, known or (side, side)
    return "none", "stem", known or grid_of(224, 224, patch_size)


def _grid(places: int, known: tuple[int, int] | None) -> tuple[int, int]:
    if known and known[0] * known[1] == places:
        return known
    side = math.isqrt(places)
    if side < 1 or side * side != places:
        raise ValueError(f"{places} places are no square grid")
    return (side, side)


def _resnet(sizes: Sizes, image_size: tuple[int, int] | None) -> resnet.ResNetConfig:
    width, channels, _, _ = sizes["stem.conv.weight"]
    return resnet.ResNetConfig(image_size or (224, 224), channels, stages_of(sizes, "stages."), widen=width // 64)


def _swin(sizes: Sizes, image_size: tuple[int, int] | None) -> swin.SwinConfig:
    width, channels, patch_size, _ = sizes["patch_embed.proj.weight"]
    tables = bias_tables(sizes)
    window = window_of(sizes) if tables else (7, 7)
    side = _shrunk_side(sizes, window[0]) * patch_size or WINDOWS_A_SIDE * window[0] * patch_size
    small_maps = "shrink" if _shrunk_side(sizes, window[0]) else "mask"
    if small_maps == "shrink":
        image_size = None
    size, positions = image_size or (side, side), "relative" if tables else "none"
    if "absolute_pos_embed" in sizes:
        positions = "both" if tables else "absolute"
        known = grid_of(*image_size, patch_size) if image_size else None
        size = _pixels(_grid(sizes["absolute_pos_embed"][1], known), patch_size, image_size)
    return swin.SwinConfig(
        image_size=size,
        patch_size=patch_size,
        channels=channels,
        embed_width=width,
        depths=stages_of(sizes, "layers."),
        head_width=width // tables[0][1] if tables else 32,
        window=window,
        mlp_ratio=sizes["layers.0.blocks.0.mlp.fc1.weight"][0] / width,
        positions=positions,  # type: ignore[arg-type]
        small_maps=small_maps,  # type: ignore[arg-type]
    )


def _shrunk_side(sizes: Sizes, window: int) -> int:
    """Return the side in tokens of the map that the windows of a Swin's stages were shrunk to; 0 if none was.

    Raises:
        ValueError: the windows of its stages follow from no size of map, as Swin-S3's.
    """
    windows = stage_windows(sizes)
    shrunk = next((stage for stage, side in enumerate(windows) if side < window), None)
    side = windows[shrunk] << shrunk if shrunk is not None else 0
    expected = [min(window, grid_of(side, side, 1 << stage)[0]) if side else window for stage in range(len(windows))]
    if windows != expected:
        raise ValueError(f"its stages have windows of {'/'.join(map(str, windows))} tokens, as Swin-S3's")
    return side


def stage_windows(sizes: Sizes) -> list[int]:
    """Return the side of the window of each stage of a Swin, in tokens, by its tables; none without tables."""
    tables = {name: shape for name, shape in sizes.items() if name.endswith(f"attn.{BIAS_TABLE}")}
    sides = {name.split(".")[1]: (math.isqrt(shape[0]) + 1) // 2 for name, shape in sorted(tables.items())}
    return [sides[stage] for stage in sorted(sides, key=int)]


def bias_tables(sizes: Sizes) -> list[tuple[int, ...]]:
    """Return the shapes ``((2M - 1)^2, heads)`` of a Swin's tables of relative positions, block by block."""
    return [shape for name, shape in sorted(sizes.items()) if name.endswith(f"attn.{BIAS_TABLE}")]


def window_of(sizes: Sizes) -> tuple[int, int]:
    """Return the square window, in tokens, that a Swin's first table is made for."""
    side = math.isqrt(bias_tables(sizes)[0][0])
    return ((side + 1) // 2, (side + 1) // 2)


def _named(config: Any, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name whose shape is nearest, and the options that make it this one."""
    differing = {
        name: {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if _differs(config, named, f.name)}
        for name, named in known.items()
    }
    name = min(differing, key=lambda name: (len(differing[name].keys() - SAME_NAME), len(differing[name])))
    return name, differing[name]


def _differs(config: Any, named: Any, field: str) -> bool:
    return getattr(config, field) != getattr(named, field)


def _decoder(sizes: Sizes) -> dict[str, Any]:
    width = sizes["decoder.embed.weight"][0]
    return {
        "decoder_width": width,
        "decoder_depth": blocks_of(sizes, "decoder.blocks."),
        "decoder_heads": max(1, width // DECODER_HEAD_WIDTH),
    }


def _mpp_target(sizes: Sizes, config: Any) -> str:
    rows, colours = sizes["predictor.head.weight"][0], LEVELS**config.channels
    return {colours: "color", DOWNSIZED**2 * colours: "downsized"}.get(rows, "full")


def sizes_of(state: State) -> Sizes:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def stages_of(sizes: Sizes, prefix: str) -> tuple[int, ...]:
    """Count the blocks of each stage: ``PREFIX0.blocks.0...``."""
    return tuple(blocks_of(sizes, f"{prefix}{stage}.blocks.") for stage in range(blocks_of(sizes, prefix)))


def blocks_of(sizes: Sizes, prefix: str) -> int:
    """Count the numbers that follow a prefix: ``PREFIX0...``, ``PREFIX1...``."""
    numbers = {name.removeprefix(prefix).split(".")[0] for name in sizes if name.startswith(prefix)}
    return sum(number.isdecimal() for number in numbers)
