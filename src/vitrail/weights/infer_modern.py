"""Which ViT of after 2021 tensors under plain names belong to, read off their names and shapes.

What no tensor shows is that of the published family whose parts they have: what a norm adds to a variance, which
approximation of GELU, rotary positions, how positions are fitted to another size.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any, Literal

from vitrail.layers.patches import grid_of
from vitrail.models.modern_sizes import SIZES, ModernViTConfig
from vitrail.weights.formats.modern import BIAS_TABLE, is_modern, is_rotary
from vitrail.weights.stated import as_stated

Sizes = Mapping[str, tuple[int, ...]]
Kind = Literal["deit", "deit3", "beit", "dinov2", "dinov3", "clip", "siglip", "gap"]

PREFIX = {"deit": "deit_", "deit3": "deit3_", "beit": "beit_", "dinov2": "dinov2_", "dinov3": "dinov3_"}
"""What the names of a kind's published models begin with."""

DINOV3_REGISTERS = 4


def has_modern_shape(names: Collection[str]) -> bool:
    """Whether plain tensors belong to a ViT of after 2021.

    SigLIP's look like a plain ViT's without a class token, and differ in what is computed: GELU by tanh, or a norm
    before the mean over patches.
    """
    if is_modern(names):
        return True
    is_vit = "blocks.0.norm1.weight" in names and "cls_token" not in names and "pos_embed" in names
    return is_vit and ("attn_pool.latent" in names or ("norm.weight" in names and "fc_norm.weight" not in names))


def kind_of(sizes: Sizes) -> Kind:
    """Return the family that has the parts of plain tensors.

    Raises:
        ValueError: no family has these parts together.
    """
    if "norm_pre.weight" in sizes and "attn_pool.latent" in sizes:
        raise ValueError("a norm before the first block and attention pooling, as Perception Encoders have")
    for part, kind in (("dist_token", "deit"), ("norm_pre.weight", "clip"), ("attn_pool.latent", "siglip")):
        if part in sizes:
            return kind  # type: ignore[return-value]
    if any(name.startswith("relative.") for name in sizes):
        return "beit"
    if is_rotary(sizes) and sizes["reg_token"][1] == DINOV3_REGISTERS and "norm.weight" in sizes:
        return "dinov3"
    if "pos_embed" not in sizes:
        raise ValueError("it has no positions, so they are rotary ones, but none of a kind known here")
    if "cls_token" not in sizes and "reg_token" not in sizes:
        return _without_class_token(sizes)
    return "deit3" if "reg_token" not in sizes and not _places_class_token(sizes) else "dinov2"


def _without_class_token(sizes: Sizes) -> Kind:
    """Tell SigLIP's image tower without its pooling from other ViTs that average their normalised tokens."""
    shape = (sizes["patch_embed.proj.weight"][0], blocks(sizes))
    known = any((config.width, config.depth) == shape for config in named("siglip").values())
    return "siglip" if known and "blocks.0.ls1.gamma" not in sizes else "gap"


def _places_class_token(sizes: Sizes) -> bool:
    """Whether class and distillation token have positions: then those do not make a square."""
    return math.isqrt(sizes["pos_embed"][1]) ** 2 != sizes["pos_embed"][1]


def named(kind: Kind) -> dict[str, ModernViTConfig]:
    """Return the published models of a kind by name."""
    front = PREFIX.get(kind, f"{kind}_vit_")
    found = {name: config for name, config in SIZES.items() if name.startswith(front)}
    return found or SIZES


def blocks(sizes: Sizes) -> int:
    """Count the blocks."""
    return len({name.split(".")[1] for name in sizes if name.startswith("blocks.")})


def shown_heads(sizes: Sizes) -> int | None:
    """Return the number of heads that tables of biases, or norms of each head, show; None where there are none."""
    if f"relative.0.{BIAS_TABLE}" in sizes:
        return sizes[f"relative.0.{BIAS_TABLE}"][1]
    head = sizes.get("blocks.0.attn.q_norm.weight")
    return sizes["patch_embed.proj.weight"][0] // head[0] if head and "patch_embed.proj.weight" in sizes else None


def modern_heads(sizes: Sizes) -> int | None:
    """Return the number of heads that tensors show, or that published models of this kind, width and depth have."""
    try:
        if shown := shown_heads(sizes):
            return shown
        width, depth = sizes["patch_embed.proj.weight"][0], blocks(sizes)
        known = named(kind_of(sizes)).values()
    except (KeyError, IndexError, ValueError):
        return None
    exact = [config.num_heads for config in known if (config.width, config.depth) == (width, depth)]
    alike = [config.num_heads for config in known if config.width == width <= 1024]
    return next(iter(exact + alike), None)


def modern_config(
    sizes: Sizes, num_heads: int | None, image_size: tuple[int, int] | None, stated: dict[str, Any]
) -> ModernViTConfig:
    """Return the config of the backbone that tensors belong to.

    Args:
        sizes: shape of each tensor, by its plain name.
        num_heads: number of heads, where it is known.
        image_size: height and width in pixels, where they are known; else positions say it, for square images.
        stated: what ``config.json`` beside the weights says.

    Raises:
        ValueError, KeyError: they belong to none.
    """
    kind = kind_of(sizes)
    width, channels, patch_size, _ = sizes["patch_embed.proj.weight"]
    hidden = sizes["blocks.0.mlp.fc2.weight"][1]
    gated = sizes["blocks.0.mlp.fc1.weight"][0] == 2 * hidden
    found: dict[str, Any] = {
        "patch_size": patch_size,
        "channels": channels,
        "width": width,
        "depth": blocks(sizes),
        "num_heads": shown_heads(sizes) or num_heads or modern_heads(sizes) or max(1, width // 64),
        "mlp_ratio": hidden / width,
        "class_token": "cls_token" in sizes,
        "distillation_token": "dist_token" in sizes,
        "registers": sizes["reg_token"][1] if "reg_token" in sizes else 0,
        "relative_bias": _relative_bias(sizes),
        "qkv_bias": _qkv_bias(sizes),
        "qk_norm": "blocks.0.attn.q_norm.weight" in sizes,
        "patch_bias": "patch_embed.proj.bias" in sizes,
        "pre_norm": "norm_pre.weight" in sizes,
        "pool": _pool(sizes, width),
    }
    template = _template(kind, found, gated)
    found["mlp"] = "swiglu" if gated else "gelu" if template.mlp == "swiglu" else template.mlp
    found["layer_scale"] = (template.layer_scale or 1e-5) if "blocks.0.ls1.gamma" in sizes else 0.0
    if "pos_embed" in sizes:
        found |= {"positions": "learned", "prefix_positions": _places_class_token(sizes) or not found["class_token"]}
    elif kind != "dinov3":
        found["positions"] = "none"
    found["image_size"] = _image_size(sizes, patch_size, image_size, template)
    return as_stated(dataclasses.replace(template, **found), stated)


def _template(kind: Kind, found: Mapping[str, Any], gated: bool) -> ModernViTConfig:
    """Return the published model that is most alike: what no tensor shows is as there."""
    if kind == "gap":
        return ModernViTConfig(class_token=False, pool="norm_mean")

    def unlike(config: ModernViTConfig) -> int:
        fields = ("registers", "width", "depth", "patch_size", "num_heads")
        return sum(getattr(config, name) != found[name] for name in fields) + ((config.mlp == "swiglu") != gated)

    return min(named(kind).values(), key=unlike)


def _relative_bias(sizes: Sizes) -> str:
    tables = sum(name.endswith(BIAS_TABLE) for name in sizes)
    return "none" if not tables else "each_block" if tables == blocks(sizes) else "shared"


def _qkv_bias(sizes: Sizes) -> str:
    if "blocks.0.attn.q_bias" in sizes:
        return "query_value"
    return "all" if "blocks.0.attn.qkv.bias" in sizes else "none"


def _pool(sizes: Sizes, width: int) -> str:
    if "attn_pool.latent" in sizes:
        return "attention"
    if "fc_norm.weight" in sizes:
        return "mean"
    if "cls_token" not in sizes:
        return "norm_mean"
    return "class_mean" if sizes.get("head.weight", (0, 0))[1] == 2 * width else "class"


def _image_size(
    sizes: Sizes, patch_size: int, known: tuple[int, int] | None, template: ModernViTConfig
) -> tuple[int, int]:
    """Return the image size that positions are made for: the one that is known, unless it has another grid."""
    front = sum(name in sizes for name in ("cls_token", "dist_token"))
    if "pos_embed" in sizes:
        places = sizes["pos_embed"][1] - (front if _places_class_token(sizes) else 0)
    elif f"relative.0.{BIAS_TABLE}" in sizes:
        side = (math.isqrt(sizes[f"relative.0.{BIAS_TABLE}"][0] - 3 * front) + 1) // 2
        places = side * side
    else:
        return known or template.image_size
    if known and math.prod(grid_of(*known, patch_size)) == places:
        return known
    side = math.isqrt(places)
    if side < 1 or side * side != places:
        raise ValueError(f"{places} places are no square grid")
    return (side * patch_size, side * patch_size)
