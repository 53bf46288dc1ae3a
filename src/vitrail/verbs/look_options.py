"""Which options of ``vitrail look`` have a meaning for a model; the others are refused, not passed over."""

from __future__ import annotations

from typing import Any

from vitrail.errors import ConfigError
from vitrail.layers.masking import GRID_RATIO
from vitrail.models.mae import MAE
from vitrail.models.registry import backbone_of
from vitrail.models.simmim import SimMIM
from vitrail.models.swin import Swin
from vitrail.models.vit import ViT
from vitrail.settings import LookSettings
from vitrail.weights.description import Description

SPECIAL = ("mask_ratio", "masking", "mask", "seeds", "pixel", "layers")
"""Options that some models have no use for."""

LARGEST_SEED = 2**63 - 1


def check_options(model: Any, description: Description, settings: LookSettings) -> None:
    """Check that everything asked for can be drawn of this model.

    Raises:
        ConfigError: an option means nothing to it, contradicts another, or is out of range.
    """
    if settings.count < 1:
        raise ConfigError(f"count must be 1 or more, not {settings.count}")
    what, meant = _meant(model, description)
    for name in SPECIAL:
        if name not in meant and _given(settings, name):
            can = f"; it takes {_listed(meant)}" if meant else ""
            raise ConfigError(f"{_option(name)} means nothing to the model in {settings.checkpoint}, {what}{can}")
    if not settings.seeds or not all(0 <= seed <= LARGEST_SEED for seed in settings.seeds):
        raise ConfigError(f"--seeds takes one or more whole numbers from 0 on, not {list(settings.seeds)}")
    if isinstance(model, MAE):
        _check_masks(model, description, settings)


def _meant(model: Any, description: Description) -> tuple[str, tuple[str, ...]]:
    """Return what the model is, and which special options it has a use for."""
    if description.task != "classify":
        return ("a detector" if description.task == "detect" else "a segmenter"), ()
    if isinstance(model, MAE):
        return "a masked autoencoder", ("mask_ratio", "masking", "mask", "seeds")
    if isinstance(model, SimMIM):
        return "a SimMIM", ("mask_ratio", "seeds")
    backbone = backbone_of(model)
    if isinstance(backbone, Swin):
        without_bias = backbone.config.positions in ("absolute", "none")
        return "a Swin", ("pixel",) if without_bias else ("pixel", "layers")
    return (f"a {type(backbone).__name__}", ("layers",) if isinstance(backbone, ViT) else ())


def _check_masks(model: MAE, description: Description, settings: LookSettings) -> None:
    """Refuse options of masks that another one leaves without effect."""
    drawn = settings.mask_ratio or settings.masking
    fixed = settings.mask or (description.settings.get("mask") if not drawn else None)
    if settings.mask and drawn:
        raise ConfigError("--mask says which patches are hidden; --mask-ratio and --masking have no effect beside it")
    if fixed and _given(settings, "seeds"):
        whose = "--mask hides" if settings.mask else "the model was trained with a mask that hides"
        raise ConfigError(f"{whose} the same patches whatever the seed; leave out --seeds, or give --mask-ratio")
    kinds = settings.masking or (model.config.masking,)
    if set(kinds) == {"grid"} and not fixed:
        if _given(settings, "seeds"):
            raise ConfigError("a grid hides the same patches whatever the seed; leave out --seeds")
        if any(ratio != GRID_RATIO for ratio in settings.mask_ratio):
            raise ConfigError(
                f"a grid hides {GRID_RATIO} of the patches; leave out --mask-ratio, or add --masking random"
            )


def _given(settings: LookSettings, name: str) -> bool:
    return getattr(settings, name) != getattr(LookSettings, name)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(map(_option, names[:-1])), _option(names[-1])]) if names[1:] else _option(names[0])
