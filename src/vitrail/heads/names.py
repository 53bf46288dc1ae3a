"""What users call models: names and flat options, and the one function that makes a `ModelSpec` of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from vitrail.coerce import coerce
from vitrail.errors import ConfigError, nearest
from vitrail.heads.registry import HEADS, build, encoders_of
from vitrail.heads.spec import ModelSpec
from vitrail.models import modern_sizes
from vitrail.models import registry as models
from vitrail.models.registry import BACKBONES, check_known

CLASSIFIER = "classifier"
"""The head of a model that goes by its backbone's name alone."""

NUM_CLASSES = 1000
"""Those of ImageNet-1k, for which nearly all published models are."""

ALIASES: dict[str, str] = {
    **models.ALIASES,
    "mae_vit_base_patch16": "mae_vit_b16",
    "mae_vit_large_patch16": "mae_vit_l16",
    "mae_vit_huge_patch14": "mae_vit_h14",
}
"""timm's and the published names, and vitrail's own for each."""


def named_models() -> dict[str, tuple[str, str]]:
    """Return backbone and head of every model that has a name."""
    objectives = [name for name, head in HEADS.items() if head.pretrains]
    return {name: (name, CLASSIFIER) for name in BACKBONES} | {
        f"{objective}_{name}": (name, objective) for objective in objectives for name in encoders_of(objective)
    }


def list_models() -> list[str]:
    """Return the name of every model."""
    return list(named_models())


def resolve_name(name: str) -> tuple[str, dict[str, Any]]:
    """Return vitrail's own name for one of timm's, and the options that the name says, as ``image_size`` at its end."""
    stem, _, size = name.rpartition("_")
    if size.isdecimal() and f"{stem}_224" in ALIASES:
        said = modern_sizes.ALIAS_OPTIONS.get(f"{stem}_224", {})
        return ALIASES[f"{stem}_224"], {"image_size": int(size), **said}
    return ALIASES.get(name, name), {}


def canonical_name(name: str) -> str:
    """Return vitrail's own name for a model, given that or one of timm's.

    Raises:
        ConfigError: no such model; the nearest right names are given.
    """
    found, _ = resolve_name(name)
    if found not in named_models():
        known = [*list_models(), *ALIASES]
        raise ConfigError(f"there is no model {name!r}{nearest(name, known) or '; see: vitrail models'}")
    return found


def parse_model(name: str, options: Mapping[str, Any]) -> ModelSpec:
    """Turn a model's name and options, those of backbone and head in one, into a spec.

    Args:
        name: one of `list_models`, or timm's name for it.
        options: as `build_model` takes them.

    Raises:
        ConfigError: unknown name or option; the nearest right ones are given.
    """
    name = coerce("the name of a model", str, name)
    backbone, head = named_models()[canonical_name(name)]
    options = SHORTHANDS.get(head, dict)(resolve_name(name)[1] | dict(options))
    own = {field.name for field in dataclasses.fields(HEADS[head].options)}
    check_known(BACKBONES[backbone][1], options, own)
    of_backbone = HEADS[head].encoder_options | {key: value for key, value in options.items() if key not in own}
    spec = ModelSpec(backbone, of_backbone, head, {key: value for key, value in options.items() if key in own})
    return _with_classes(spec) if head == CLASSIFIER else spec


def build_model(name: str, **options: Any) -> nn.Module:
    """Build a model by name, with random weights; `vitrail.create_model` also loads weights.

    Args:
        name: one of `list_models`, or timm's name for it.
        **options: ``num_classes`` (default 1000; 0 gives the bare backbone), ``image_size`` (pixels, or height
            and width), ``window`` of a Swin (tokens, or height and width), ``representation`` and ``head_init``
            (see `ClassifierConfig`), and any field of the backbone's config (`ViTConfig`, `HybridConfig`,
            `ResNetConfig`, `SwinConfig`); for ``mae_*`` also those of `MAEConfig`, and ``normalize_target`` for its
            targets normalized and pixels; for ``mpp_*`` those of `MPPConfig`, for ``simmim_*`` of `SimMIMConfig`.

    Returns:
        An `ImageClassifier` with ``.backbone`` and ``.head``, a bare backbone, or a `MAE`,
        `MPP` or `SimMIM` with ``.encoder``.

    Raises:
        ConfigError: unknown name or option; the nearest right ones are given.
    """
    return build(parse_model(name, options))


def _with_classes(spec: ModelSpec) -> ModelSpec:
    """Give a classifier 1000 classes unless their number is given; 0 of them make it a bare backbone.

    Raises:
        ConfigError: the number of classes is below 0, or 0 with options of a head.
    """
    options = dict(spec.head_options)
    num_classes = coerce("num_classes", int, options.pop("num_classes", NUM_CLASSES))
    if num_classes < 0:
        raise ConfigError(f"num_classes must be 0 or more, not {num_classes}")
    if num_classes:
        return dataclasses.replace(spec, head_options={**options, "num_classes": num_classes})
    if options:
        raise ConfigError(f"{' and '.join(options)} belong to a head, and num_classes=0 asks for none; leave them out")
    return ModelSpec(spec.backbone, spec.backbone_options)


def _mae_target(options: dict[str, Any]) -> dict[str, Any]:
    """Put ``target`` in the place of ``normalize_target``, the short way to say which of two targets is meant."""
    normalize = coerce("normalize_target", bool | None, options.pop("normalize_target", None))
    if normalize is None:
        return options
    target = "normalized" if normalize else "pixels"
    if options.get("target", target) != target:
        raise ConfigError(
            f"normalize_target={normalize} and target={options['target']!r} contradict; give target alone"
        )
    return {**options, "target": target}


SHORTHANDS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"mae": _mae_target}
"""Short ways to say options, by head: turned into the options themselves."""
