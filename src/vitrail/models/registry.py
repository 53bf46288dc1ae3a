"""Every model by its name, and the one function that builds it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from vitrail.coerce import coerce, coerce_options
from vitrail.config import check_choices, pair, replace
from vitrail.errors import ConfigError, nearest
from vitrail.models import hybrid, modern_sizes, modern_vit, resnet, swin, swin_v2, vit
from vitrail.models.backbone import Backbone
from vitrail.models.backbone import backbone_of as backbone_of
from vitrail.models.classifier import HeadInit, ImageClassifier
from vitrail.models.mae import MAE, MAEConfig
from vitrail.models.mpp import MPP, MPPConfig
from vitrail.models.simmim import SimMIM, SimMIMConfig, whole_patches
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

# What is said of the head and not of the backbone.
HEAD_OPTIONS = frozenset({"representation", "head_init"})

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
    "mae_vit_base_patch16": "mae_vit_b16",
    "mae_vit_large_patch16": "mae_vit_l16",
    "mae_vit_huge_patch14": "mae_vit_h14",
}


@dataclass(frozen=True)
class ModelSpec:
    """What it takes to build a model again: its name and the options that differ from the name's own."""

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


def list_models() -> list[str]:
    """Return the name of every model."""
    return [*BACKBONES, *(f"{prefix}_{name}" for prefix, what in OBJECTIVES.items() for name in what.encoders)]


def encoder_name(name: str) -> str:
    """Return the name of the backbone inside a model: of ``mae_vit_b16`` that is ``vit_b16``."""
    prefix, _, encoder = name.partition("_")
    return encoder if prefix in OBJECTIVES else name


def canonical_name(name: str) -> str:
    """Return vitrail's own name for a model, given that or one of timm's.

    Raises:
        ConfigError: no such model; the nearest right names are given.
    """
    found, _ = resolve_name(name)
    if found not in list_models():
        known = [*list_models(), *ALIASES]
        raise ConfigError(f"there is no model {name!r}{nearest(name, known) or '; see: vitrail models'}")
    return found


def resolve_name(name: str) -> tuple[str, dict[str, Any]]:
    """Return vitrail's own name for one of timm's, and the option ``image_size`` where the name ends in a size."""
    stem, _, size = name.rpartition("_")
    if size.isdecimal() and f"{stem}_224" in ALIASES:
        return ALIASES[f"{stem}_224"], {"image_size": int(size)}
    return ALIASES.get(name, name), {}


def build_model(name: str, **options: Any) -> nn.Module:
    """Build a model by name, with random weights; `vitrail.create_model` also loads weights.

    Args:
        name: one of `list_models`, or timm's name for it.
        **options: ``num_classes`` (default 1000; 0 gives the bare backbone), ``image_size`` (pixels, or height
            and width), ``window`` of a Swin (tokens, or height and width), ``representation`` and ``head_init``
            (see `ImageClassifier`), and any field of the model's config (`ViTConfig`, `HybridConfig`,
            `ResNetConfig`, `SwinConfig`; for ``mae_*`` also `MAEConfig`, and ``normalize_target`` for its targets
            normalized and pixels; for ``mpp_*`` `MPPConfig`).

    Returns:
        An `ImageClassifier` with ``.backbone`` and ``.head``, a bare backbone, or a `MAE`,
        `MPP` or `SimMIM` with ``.encoder``.

    Raises:
        ConfigError: unknown name or option; the nearest right ones are given.
    """
    name = coerce("the name of a model", str, name)
    options = _typed(resolve_name(name)[1] | options)
    name = canonical_name(name)
    prefix, _, encoder = name.partition("_")
    try:
        if prefix in OBJECTIVES:
            return OBJECTIVES[prefix].build(OBJECTIVES[prefix].encoders[encoder], options)
        num_classes = options.pop("num_classes", 1000)
        head = {key: options.pop(key) for key in HEAD_OPTIONS if key in options}
        build, config = BACKBONES[name]
        backbone = build(_sized(config, options, more_names=HEAD_OPTIONS))
        return ImageClassifier(backbone, num_classes, **head) if num_classes else backbone
    except (ValueError, ZeroDivisionError, RuntimeError, OverflowError) as error:  # sizes that do not fit together
        raise ConfigError(f"no {name} can be built with these options ({_first_line(error)})") from error


# What the types of a config's fields do not say: sizes of a square may be one number, and the head has no config.
OPTION_TYPES: dict[str, Any] = {
    "image_size": int | tuple[int, int],
    "window": int | tuple[int, int],
    "num_classes": int,
    "representation": int,
    "head_init": HeadInit,
    "normalize_target": bool | None,
}


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose types stand in no config in the types they should have.

    Raises:
        ConfigError: one is of another type, or a number of classes is below 0.
    """
    typed = {name: coerce(name, OPTION_TYPES.get(name, Any), value) for name, value in options.items()}
    for name in ("image_size", "window"):
        if name in typed:
            typed[name] = pair(typed[name])
    for name in ("num_classes", "representation"):
        if typed.get(name, 0) < 0:
            raise ConfigError(f"{name} must be 0 or more, not {typed[name]}")
    return typed


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


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


def _mae(encoder: vit.ViTConfig, options: dict[str, Any]) -> MAE:
    own = {**_named_target(options), **_own_options(MAEConfig, options)}
    if "decoder_width" in own and "decoder_heads" not in own:
        own["decoder_heads"] = max(1, own["decoder_width"] // 32)  # 32 channels a head, as in the paper's
    options = {"positions": "sincos_2d", **options}
    return MAE(MAEConfig(encoder=_sized(encoder, options, more_names=option_names(MAEConfig)), **own))


def _named_target(options: dict[str, Any]) -> dict[str, Any]:
    """Take ``normalize_target`` out of the options, the short way to say which of two targets is meant."""
    normalize = options.pop("normalize_target", None)
    if normalize is None:
        return {}
    target = "normalized" if normalize else "pixels"
    if options.get("target", target) != target:
        raise ConfigError(
            f"normalize_target={normalize} and target={options['target']!r} contradict; give target alone"
        )
    return {"target": target}


def _mpp(encoder: vit.ViTConfig, options: dict[str, Any]) -> MPP:
    own = _own_options(MPPConfig, options)
    return MPP(MPPConfig(encoder=_sized(encoder, options, more_names=option_names(MPPConfig)), **own))


def _simmim(encoder: swin.SwinConfig | vit.ViTConfig, options: dict[str, Any]) -> SimMIM:
    own = _own_options(SimMIMConfig, options)
    if "mask_unit" not in own:
        own["mask_unit"] = whole_patches(options.get("patch_size", encoder.patch_size))
    return SimMIM(SimMIMConfig(encoder=_sized(encoder, options, more_names=option_names(SimMIMConfig)), **own))


def option_names(config: type) -> frozenset[str]:
    """Return the options of a self-supervised model beside those of its encoder."""
    return frozenset(field.name for field in dataclasses.fields(config)) - {"encoder"}


def _own_options(config: type, options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of a self-supervised model itself out of those that are left for its encoder."""
    return coerce_options(config, {key: options.pop(key) for key in list(options) if key in option_names(config)})


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


def _sized(config: Any, options: dict[str, Any], more_names: frozenset[str] = frozenset()) -> Any:
    """Apply options to a named shape; a new width keeps 64 channels a head unless heads are given."""
    known = {f.name for f in dataclasses.fields(config)}
    for option in options:
        if option not in known:
            check_family(config.family, option)
            hint = nearest(option, known | more_names | {"num_classes"})
            raise ConfigError(f"a model has no option {option!r}{hint}")
    options = coerce_options(type(config), options)
    check_options(options)
    if "width" in options and "num_heads" in known and "num_heads" not in options:
        options["num_heads"] = max(1, options["width"] // 64)
    sized = replace(config, **options)
    check_choices(sized)
    return sized


@dataclass(frozen=True)
class Objective:
    """A way to learn without labels: a model around an encoder, named PREFIX_ENCODER.

    Attributes:
        encoders: the backbones it can be put around, by name.
        build: makes the model of an encoder's config and all options.
        config: the dataclass of the model's own options.
    """

    encoders: dict[str, Any]
    build: Callable[[Any, dict[str, Any]], nn.Module]
    config: type


OBJECTIVES: dict[str, Objective] = {
    "mae": Objective(vit.SIZES, _mae, MAEConfig),
    "mpp": Objective(vit.SIZES, _mpp, MPPConfig),
    "simmim": Objective({**swin.SIZES, **vit.SIZES}, _simmim, SimMIMConfig),
}
