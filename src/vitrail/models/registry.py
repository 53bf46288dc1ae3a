"""Every backbone by its name, and the one function that builds it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from vitrail.coerce import coerce, coerce_options
from vitrail.config import check_choices, pair, replace
from vitrail.errors import ConfigError, nearest
from vitrail.models import hybrid, modern_sizes, modern_vit, resnet, swin, swin_v2, vit
from vitrail.models.backbone import Backbone
from vitrail.settings.models import families_with

# Every backbone: its class and the shape that its name stands for.
BACKBONES: dict[str, tuple[Callable[[Any], Backbone], Any]] = {
    **{name: (vit.ViT, config) for name, config in vit.SIZES.items()},
    **{name: (hybrid.hybrid, config) for name, config in hybrid.SIZES.items()},
    **{name: (resnet.ResNet, config) for name, config in resnet.SIZES.items()},
    **{name: (swin.Swin, config) for name, config in swin.SIZES.items()},
    **{name: (modern_vit.ModernViT, config) for name, config in modern_sizes.SIZES.items()},
    **{name: (swin_v2.SwinV2, config) for name, config in swin_v2.SIZES.items()},
}

# Options that count something, one number or one for each stage or side; and those that are a probability.
COUNTS = (
    "image_size",
    "patch_size",
    "channels",
    "width",
    "depth",
    "num_heads",
    "depths",
    "widen",
    "stem_depths",
    "embed_width",
    "head_width",
    "window",
    "pretrained_windows",
)
PROBABILITIES = ("dropout", "attention_dropout", "drop_path")

# timm's and the published names, for those who have them in their fingers. What ends in _224 may end in any other
# size as well, as in vit_base_patch16_384.
ALIASES: dict[str, str] = {
    "vit_tiny_patch16_224": "vit_ti16",
    "deit_tiny_patch16_224": "vit_ti16",
    "vit_small_patch8_224": "vit_s8",
    "vit_small_patch16_224": "vit_s16",
    "deit_small_patch16_224": "vit_s16",
    "vit_small_patch32_224": "vit_s32",
    "vit_base_patch8_224": "vit_b8",
    "vit_base_patch16_224": "vit_b16",
    "deit_base_patch16_224": "vit_b16",
    "vit_base_patch32_224": "vit_b32",
    "vit_large_patch14_224": "vit_l14",
    "vit_large_patch16_224": "vit_l16",
    "vit_large_patch32_224": "vit_l32",
    "vit_huge_patch14_224": "vit_h14",
    "vit_giant_patch14_224": "vit_giant14",
    "vit_gigantic_patch14_224": "vit_g14",
    "vit_tiny_r_s16_p8_224": "r_vit_ti16",
    "vit_small_r26_s32_224": "r26_vit_s32",
    "vit_base_r26_s32_224": "r26_vit_b32",
    "vit_base_r50_s16_224": "r50_vit_b16",
    "vit_large_r50_s32_224": "r50_vit_l32",
    **{
        f"resnetv2_{layers}x{widen}_bit": f"bit_r{layers}x{widen}"
        for layers, widen in ((50, 1), (50, 3), (101, 1), (101, 3), (152, 2), (152, 4))
    },
    **swin.ALIASES,
    **modern_sizes.ALIASES,
    **swin_v2.ALIASES,
}


def build_backbone(name: str, options: Mapping[str, Any]) -> Backbone:
    """Build a backbone by its own name, with random weights.

    Args:
        name: a key of `BACKBONES`.
        options: fields of the backbone's config (`ViTConfig`, `HybridConfig`, `ResNetConfig`, `SwinConfig`) that
            differ from what the name stands for; ``image_size`` and ``window`` may be one number for a square.

    Raises:
        ConfigError: unknown name or option; the nearest right ones are given.
    """
    if name not in BACKBONES:
        raise ConfigError(f"there is no backbone {name[:60]!r}{nearest(name, BACKBONES)}")
    build, config = BACKBONES[name]
    return build(_sized(config, _typed(options)))


# What the types of a config's fields do not say: sizes of a square may be one number.
OPTION_TYPES: dict[str, Any] = {"image_size": int | tuple[int, int], "window": int | tuple[int, int]}


def _typed(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with height and width for sizes that are one number.

    Raises:
        ConfigError: a size is of another type.
    """
    return {
        name: pair(coerce(name, OPTION_TYPES[name], value)) if name in OPTION_TYPES else value
        for name, value in options.items()
    }


def check_known(config: Any, options: Collection[str], more: Collection[str] = ()) -> None:
    """Refuse options that a model does not have.

    Args:
        config: of its backbone, whose fields are options.
        options: what was given.
        more: the options of its head.

    Raises:
        ConfigError: there is one; whose it is, or the nearest right ones are given.
    """
    known = {field.name for field in dataclasses.fields(config)}.union(more)
    for option in options:
        if option not in known:
            check_family(config.family, option)
            raise ConfigError(f"a model has no option {option!r}{nearest(option, known)}")


def check_options(options: dict[str, Any]) -> None:
    """Check options that no model can be built with, whatever its family.

    Raises:
        ConfigError: something is counted and less than 1, a probability is not below 1, or an MLP has no width.
    """
    for name, value in options.items():
        if name in COUNTS and min(_each(value), default=1) < 1:
            raise ConfigError(f"{name} must be 1 or more, not {', '.join(map(str, _each(value)))}")
        if name in PROBABILITIES and not 0.0 <= value < 1.0:
            raise ConfigError(f"{name} is a probability, from 0 to below 1, not {value}")
        if name == "mlp_ratio" and not 0.0 < value < math.inf:
            raise ConfigError(f"mlp_ratio must be above 0, not {value}")


def _each(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def check_family(family: str, option: str, called: str = "") -> None:
    """Refuse an option that only backbones of other families have.

    Args:
        family: that of the model.
        option: its name.
        called: what the user calls it, where that is something else.

    Raises:
        ConfigError: other families have it, and this one has not.
    """
    owners = families_with(option)
    if owners and family not in owners:
        raise ConfigError(f"{called or option} is an option of {', '.join(owners)}; this model is of {family}")


def _sized(config: Any, options: dict[str, Any]) -> Any:
    """Apply options to a named shape; a new width keeps 64 channels a head unless heads are given."""
    check_known(config, options)
    options = coerce_options(type(config), options)
    check_options(options)
    if "width" in options and hasattr(config, "num_heads") and "num_heads" not in options:
        options["num_heads"] = max(1, options["width"] // 64)
    sized = replace(config, **options)
    check_choices(sized)
    return sized
