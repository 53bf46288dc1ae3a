"""Where a run starts from: which model, which input size, which normalisation."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.config import Preprocessing, pair, replace
from vitrail.data.item import Item
from vitrail.data.sources import Images
from vitrail.errors import ConfigError, ImageError
from vitrail.heads.names import canonical_name, named_models, resolve_name
from vitrail.heads.spec import ModelSpec
from vitrail.models.registry import BACKBONES, check_family, check_options
from vitrail.settings import BackboneArchitecture, Size
from vitrail.settings.models import families_with
from vitrail.weights.weights_file import WeightsFile

DEFAULT_MODEL = "vit_ti16"
LARGEST_DEFAULT_SIZE = 224
SMALLEST_DEFAULT_SIZE = 32
SIZES_LOOKED_AT = 64
FEWEST_PATCHES = 4

# Models of several stages halve the grid again and again; in multiples of this no map ends in half a place.
COARSEST_STRIDE = 32

# How a model is regularised belongs to a run and not to the weights.
REGULARISATION = frozenset({"dropout", "attention_dropout", "drop_path"})


@dataclass(frozen=True)
class Start:
    """The model a run begins with.

    Attributes:
        backbone: the model without a head, which its task puts on.
        preprocessing: how images become its input.
        notes: what was decided on the way, to be said to the user.
    """

    backbone: ModelSpec
    preprocessing: Preprocessing
    notes: tuple[str, ...]


def choose_model(
    name: str,
    weights: WeightsFile | None,
    architecture: BackboneArchitecture,
    images: Images,
    image_size: Size | None,
    channels: int,
) -> Start:
    """Decide on model, input size and normalisation from what is asked, the weights, and the images.

    The name "auto" takes the model the weights belong to. An input size that is not given is the images'
    own (the median of their shorter sides), in whole patches, at most 224 or what the weights were trained at;
    unless the name ends in one, as timm's do (``vit_base_patch16_384``).

    Raises:
        ConfigError: unknown model or option.
        WeightsError: the weights cannot be read.
    """
    given = _model_of(weights, name) if weights else None
    notes: list[str] = []
    if name == "auto":
        name = given.backbone if given else DEFAULT_MODEL
        notes += [f"model {name}, as in {weights.source}"] if weights else []
    called, name = name, _backbone(name)
    if image_size is None:
        image_size = resolve_name(called)[1].get("image_size")
    own = [field.name for field in dataclasses.fields(BackboneArchitecture)]
    asked = {key: value for key in own if (value := getattr(architecture, key)) is not None}
    for option in asked:
        check_family(BACKBONES[name][1].family, option, f"--architecture.{option.replace('_', '-')}")
    check_options(asked | ({} if image_size is None else {"image_size": pair(image_size)}))
    options = {**_inherited(name, given), **asked, "channels": channels}
    patch_size = options.get("patch_size", BACKBONES[name][1].patch_size if _is_vit(name) else COARSEST_STRIDE)
    size = pair(image_size) if image_size is not None else _default_size(images, patch_size, weights)
    if image_size is None:
        notes.append(f"image size {_shown(size)}, by the images' own")
    if _is_vit(name) and min(size) < FEWEST_PATCHES * patch_size:
        notes.append(
            f"only {size[0] // patch_size}x{size[1] // patch_size} patches of {patch_size} pixels: "
            f"--architecture.patch-size {max(2, min(size) // 8)} would see more"
        )
    notes += _about_weights(weights, given, size) if weights else []
    options["image_size"] = size
    preprocessing = weights.preprocessing if weights else Preprocessing()
    return Start(ModelSpec(name, options), _fitted(preprocessing, size, channels), tuple(notes))


def _backbone(name: str) -> str:
    """Return vitrail's own name for a backbone.

    Raises:
        ConfigError: there is no such model, or it is one of an objective of pretraining, which a run does not start
            from but puts around a backbone.
    """
    found = canonical_name(name)
    encoder, objective = named_models()[found]
    if found != encoder:
        raise ConfigError(
            f"--model {name} is a {encoder} with what {objective} pretraining puts around it; give --model {encoder}"
            f" (vitrail pretrain does so with --objective {objective}; --weights takes what it wrote)"
        )
    return found


def default_size(images: Images, patch_size: int, largest: int = LARGEST_DEFAULT_SIZE) -> int:
    """Return the median shorter side of the images in whole patches, between 32 pixels and ``largest``."""
    step = max(1, len(images) // SIZES_LOOKED_AT)
    sides = [side for number in range(0, len(images), step) if (side := _shorter_side(images.item(number)))]
    median = int(statistics.median(sides)) if sides else largest
    side = min(max(median, SMALLEST_DEFAULT_SIZE), largest)
    return max(patch_size, side // patch_size * patch_size)


def _default_size(images: Images, patch_size: int, weights: WeightsFile | None) -> tuple[int, int]:
    """Return the size of the images, or that of the weights where it is smaller or no square."""
    own = weights.preprocessing.image_size if weights else pair(LARGEST_DEFAULT_SIZE)
    return own if own[0] != own[1] else pair(default_size(images, patch_size, own[0]))


def _shorter_side(item: Item) -> int | None:
    try:
        return min(item.size)
    except ImageError:
        return None


def _model_of(weights: WeightsFile, name: str) -> ModelSpec | None:
    """Return the model that weights belong to: what a checkpoint says, or other files where the user names none."""
    return weights.description.model if weights.is_own or name == "auto" else None


def _is_vit(name: str) -> bool:
    """Whether a model has one grid of patches, which its image should fill."""
    return BACKBONES[name][1].family in families_with("class_token")


def _inherited(name: str, given: ModelSpec | None) -> dict[str, Any]:
    """Return the options of a checkpoint's model that make its backbone what it is, if it is the one asked for."""
    if given is None or given.backbone != name:
        return {}
    kept = {key: value for key, value in given.backbone_options.items() if key not in REGULARISATION}
    if kept.get("positions") == "sincos_2d":
        del kept["positions"]  # fixed while pretraining, trained afterwards, as published for MAE
    return kept


def _about_weights(weights: WeightsFile, model: ModelSpec | None, size: tuple[int, int]) -> list[str]:
    """Say what the weights were trained on, where that decides anything."""
    preprocessing, trained_at = weights.preprocessing, weights.preprocessing.image_size
    assumed = weights.assumption if model and not weights.is_own else ""
    notes = [f"assumed {assumed}"] if assumed else []
    notes += [f"mean {_numbers(preprocessing.mean)}, std {_numbers(preprocessing.std)}: {weights.preprocessing_reason}"]
    if weights.licence:
        notes.append(f"licence of the weights: {weights.licence}")
    if trained_at != size:
        notes.append(
            f"the weights were trained at {_shown(trained_at)}, this run sees {_shown(size)}: what depends on the "
            "grid is resized"
        )
    return notes


def _fitted(preprocessing: Preprocessing, size: tuple[int, int], channels: int) -> Preprocessing:
    """Fit the weights' preprocessing to another size, and average a colour normalisation where images are grey."""
    fitted = replace(preprocessing, image_size=size, channels=channels)
    if channels == len(preprocessing.mean):
        return fitted
    if channels != 1:
        raise ConfigError("these weights are for images of 1 channel; use --channels 1")
    mean, std = (_average(values) for values in (preprocessing.mean, preprocessing.std))
    return replace(fitted, mean=(mean,), std=(std,))


def _average(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _numbers(values: Sequence[float]) -> str:
    return "/".join(f"{value:g}" for value in values)
