"""What files beside weights say of the function they belong to and no tensor shows: refused where it is another one."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

# Approximations of GELU by tanh differ from it by 1e-3 at most, which no recognition notices (vitrail.weights.google).
ACTIVATIONS = frozenset({"gelu", "gelu_new", "gelu_fast", "gelu_tanh", "gelu_pytorch_tanh", "gelu_python"})

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
    activation = config.get("hidden_act")
    if isinstance(activation, str) and activation not in ACTIVATIONS:
        return f"config.json beside it says hidden_act {activation[:40]!r}, where every model of vitrail's has GELU"
    eps = config.get("layer_norm_eps")
    if isinstance(eps, float) and eps > LARGEST_EPS:
        return f"config.json beside it says layer_norm_eps {eps:g}, where every model of vitrail's has 1e-6 or 1e-5"
    return _of_timm(config, names)


def _of_timm(config: dict[str, Any], names: Collection[str]) -> str:
    architecture, arguments = config.get("architecture"), config.get("model_args")
    if not isinstance(architecture, str):
        return ""
    if re.search(r"quickgelu|_rpn_|_xp_", architecture):
        return (
            f"config.json beside it says {architecture[:60]}, which is no model here though its tensors look like one"
        )
    arguments = arguments if isinstance(arguments, dict) else {}
    unknown = [str(name)[:40] for name in arguments if name not in TIMM_ARGUMENTS]
    if unknown:
        return f"config.json beside it asks timm for {', '.join(unknown[:3])}, of which nothing is known here"
    pools = arguments.get("global_pool", config.get("global_pool"))
    if pools == "avg" and "norm.weight" in names and "fc_norm.weight" not in names and "blocks.0.norm1.weight" in names:
        return "config.json beside it says global_pool 'avg' after the final norm, where every model here has it before"
    return ""
