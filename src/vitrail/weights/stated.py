"""What a ``config.json`` beside weights says of a model that its tensors do not show: transformers' or timm's.

Only of ViTs of after 2021 and of Swin V2, which have fields for it; of others `vitrail.weights.contradictions` says
where they compute something else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from vitrail.config import pair
from vitrail.models import swin_v2
from vitrail.models.modern_sizes import ModernViTConfig
from vitrail.models.swin_v2 import SwinV2Config

ACTIVATIONS: dict[str, str] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "quick_gelu": "quick_gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_tanh": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""transformers' names of activations, and what they are here."""


def of_images(config: dict[str, Any]) -> dict[str, Any]:
    """Return what a config says of the image tower, where it is one of a model that reads text too."""
    tower = config.get("vision_config")
    return tower if isinstance(tower, dict) else config


def as_stated(config: ModernViTConfig, said: dict[str, Any]) -> ModernViTConfig:
    """Return a config with what transformers' or timm's says instead of what its published family has.

    Args:
        config: read off tensors.
        said: what ``config.json`` holds.
    """
    said = of_images(said)
    changes: dict[str, Any] = {}
    activation, eps, base = said.get("hidden_act"), said.get("layer_norm_eps"), said.get("rope_theta")
    if config.mlp != "swiglu" and isinstance(activation, str):
        changes["mlp"] = ACTIVATIONS.get(activation, config.mlp)
    if isinstance(eps, float) and eps > 0:
        changes["norm_eps"] = eps
    if config.positions == "rotary" and isinstance(base, (int, float)) and base > 0:
        changes["rotary_base"] = float(base)
    architecture = said.get("architecture")
    if config.pre_norm and config.mlp != "swiglu" and isinstance(architecture, str):
        changes["mlp"] = "quick_gelu" if _was_quick(architecture, said) else "gelu"
    return dataclasses.replace(config, **changes)


QUICK_TAGS = frozenset({"openai", "metaclip_400m", "metaclip_2pt5b", "dfn5b"})
QUICK = frozenset({"vit_large_patch14_clip_224.dfn2b", "vit_base_patch32_clip_224.laion400m_e32"})
"""Weights that were trained with quick_gelu, as timm's notes say; its models of these names have the exact one."""


def _was_quick(architecture: str, said: dict[str, Any]) -> bool:
    """Whether weights of a CLIP that timm's config describes were trained with OpenAI's quick_gelu."""
    described = said.get("pretrained_cfg")
    tag = str(described.get("tag")) if isinstance(described, dict) else ""
    return "quickgelu" in architecture or tag in QUICK_TAGS or f"{architecture}.{tag}" in QUICK


def swin_as_stated(config: SwinV2Config, said: dict[str, Any]) -> SwinV2Config:
    """Return a config with the windows that transformers' or timm's says, which only Microsoft's files show."""
    architecture = said.get("architecture")
    name = swin_v2.ALIASES.get(architecture) if isinstance(architecture, str) else None
    if name is not None:
        own = swin_v2.SIZES[name]
        changes = {field: getattr(own, field) for field in ("image_size", "window", "pretrained_windows")}
        return dataclasses.replace(config, **changes)
    window, before, size = (said.get(key) for key in ("window_size", "pretrained_window_sizes", "image_size"))
    if not isinstance(window, int) or window < 1:
        return config
    changes = {"window": pair(window)}
    if isinstance(size, int) and size >= config.patch_size:
        changes["image_size"] = pair(size)
    if isinstance(before, list) and _is_sides(before, len(config.depths)) and any(before):
        changes["pretrained_windows"] = tuple(before)
    return dataclasses.replace(config, **changes)


def _is_sides(values: list[Any], count: int) -> bool:
    return len(values) == count and all(type(v) is int and v >= 0 for v in values)


def unshown(names: Collection[str], said: dict[str, Any]) -> str:
    """Say what neither tensors nor ``config.json`` show of a model, and is taken as published; "" if nothing.

    Args:
        names: plain names of the tensors.
        said: what ``config.json`` holds.
    """
    said = of_images(said)
    stated = "hidden_act" in said or isinstance(said.get("architecture"), str)
    if "norm_pre.weight" in names and not stated:
        return "OpenAI's quick_gelu, as nothing says which GELU; models of open_clip's own have mlp gelu"
    windows = isinstance(said.get("window_size"), int) or said.get("architecture") in swin_v2.ALIASES
    if "layers.0.blocks.0.attn.logit_scale" in names and not windows and not _has_offsets(names):
        side = SwinV2Config.window[0]
        return f"windows of {side} tokens, as nothing says which; give window and pretrained_windows if it has others"
    return ""


def _has_offsets(names: Collection[str]) -> bool:
    return any(name.endswith("relative_coords_table") for name in names)
