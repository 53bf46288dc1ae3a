"""What files beside weights say of the function they belong to and no tensor shows: refused where it is another one.

What is computed here nearly as it was trained is no reason to refuse; `approximations` lists it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from vitrail.weights.infer_modern import has_modern_shape
from vitrail.weights.stated import ACTIVATIONS as STATED
from vitrail.weights.stated import of_images

TANH_GELU = frozenset({"gelu_new", "gelu_fast", "gelu_tanh", "gelu_pytorch_tanh"})
"""Approximations of GELU by tanh, which differ from it by 5e-4 at most (`vitrail.weights.formats.google`)."""

ACTIVATIONS = TANH_GELU | {"gelu", "gelu_python"}

FLAX = ("google", "big_vision")
"""Layouts of files that were trained with Flax' GELU, which is the tanh approximation."""

LARGEST_EPS = 1e-5
"""Every model here adds 1e-6 or 1e-5 to a variance; published ones add at most this."""

# What timm's config may ask of a model, for the function to stay the one that its name stands for.
TIMM_ARGUMENTS = frozenset(
    (
        "img_size",
        "in_chans",
        "patch_size",
        "embed_dim",
        "depth",
        "depths",
        "num_heads",
        "mlp_ratio",
        "class_token",
        "global_pool",
        "window_size",
        "num_classes",
        "drop_rate",
        "drop_path_rate",
        "pos_drop_rate",
        "patch_drop_rate",
        "proj_drop_rate",
        "attn_drop_rate",
        "fc_norm",
        "no_embed_class",
        "dynamic_img_size",
        "dynamic_img_pad",
        "strict_img_size",
        "qkv_bias",
        "weight_init",
        "init_values",
        "pre_norm",
        "reg_tokens",
        "qk_norm",
        "features_only",
    )
)


def contradiction(config: dict[str, Any], names: Collection[str]) -> str:
    """Say what a ``config.json`` of transformers' or timm's asks for that no model here computes; "" if nothing.

    Args:
        config: what it holds.
        names: plain names of the tensors.
    """
    config, modern = of_images(config), has_modern_shape(names)
    activation = config.get("hidden_act")
    gated = config.get("use_gated_mlp") is True
    if gated and activation not in ("silu", "swish"):
        return (
            f"config.json beside it says hidden_act {str(activation)[:40]!r} of a gated MLP, where DINOv3's have silu"
        )
    if isinstance(activation, str) and activation not in (STATED if modern else ACTIVATIONS) and not gated:
        return f"config.json beside it says hidden_act {activation[:40]!r}, where every model of vitrail's has GELU"
    eps = config.get("layer_norm_eps")
    if isinstance(eps, float) and eps > LARGEST_EPS and not modern:
        return f"config.json beside it says layer_norm_eps {eps:g}, where every model of vitrail's has 1e-6 or 1e-5"
    if config.get("qkv_bias") is False and any(name.endswith("attn.qkv.bias") for name in names):
        return "config.json beside it says qkv_bias false, and the file has biases of queries, keys and values"
    return _of_timm(config, names)


def approximations(config: dict[str, Any], layout: str, eps: float) -> tuple[str, ...]:
    """Say what a model was trained with that is computed here in a slightly different way, a sentence each.

    Args:
        config: what ``config.json`` beside the weights holds.
        layout: whose names the file uses.
        eps: what the norms of the model add to a variance here.
    """
    found = []
    activation, theirs = config.get("hidden_act"), config.get("layer_norm_eps")
    if layout in FLAX or (isinstance(activation, str) and activation in TANH_GELU):
        why = f"hidden_act {activation}" if activation in TANH_GELU else "Flax"
        found.append(f"GELU was approximated by tanh ({why}); here it is exact, which differs by up to 5e-4")
    if isinstance(theirs, float) and theirs != eps:
        found.append(f"norms added layer_norm_eps {theirs:g} to a variance; here it is {eps:g}")
    return tuple(found)


def _of_timm(config: dict[str, Any], names: Collection[str]) -> str:
    architecture, arguments = config.get("architecture"), config.get("model_args")
    if not isinstance(architecture, str):
        return ""
    if re.search(r"_rpn_|_xp_" if has_modern_shape(names) else r"quickgelu|_rpn_|_xp_", architecture):
        return (
            f"config.json beside it says {architecture[:60]}, which is no model here though its tensors look like one"
        )
    arguments = arguments if isinstance(arguments, dict) else {}
    unknown = [str(name)[:40] for name in arguments if name not in TIMM_ARGUMENTS]
    if unknown:
        return f"config.json beside it asks timm for {', '.join(unknown[:3])}, of which nothing is known here"
    pools = arguments.get("global_pool", config.get("global_pool"))
    if has_modern_shape(names):
        return _of_modern_timm(architecture, pools, names)
    if pools == "avg" and "norm.weight" in names and "fc_norm.weight" not in names and "blocks.0.norm1.weight" in names:
        return "config.json beside it says global_pool 'avg' after the final norm, where every model here has it before"
    return ""


def _of_modern_timm(architecture: str, pools: Any, names: Collection[str]) -> str:
    """Say what timm's config asks of a ViT of after 2021 that no model here computes."""
    if "rope" in architecture or "_pe_" in architecture:
        return f"config.json beside it says {architecture[:60]}, whose rotary positions no model here has"
    return ""
