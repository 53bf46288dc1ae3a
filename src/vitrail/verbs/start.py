"""Where a run starts from: which model, which input size, which normalisation."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.config import Preprocessing
from vitrail.data.images import open_image
from vitrail.data.sources import Pictures
from vitrail.errors import ConfigError, ImageError
from vitrail.models.zoo import BACKBONES, ModelSpec, canonical_name, encoder_name
from vitrail.settings import Architecture
from vitrail.training.checkpoint import is_checkpoint
from vitrail.weights.checkpoint import describe
from vitrail.weights.detect import to_plain
from vitrail.weights.files import read_state
from vitrail.weights.load import weights_file
from vitrail.weights.plain import shape_of

DEFAULT_MODEL = "vit_ti16"
LARGEST_DEFAULT_SIZE = 224
SMALLEST_DEFAULT_SIZE = 32
SIZES_LOOKED_AT = 64


@dataclass(frozen=True)
class Start:
    """The model a run begins with.

    Attributes:
        model: name and options of the backbone.
        preprocessing: how pictures become its input.
        notes: what was decided on the way, to be said to the user.
    """

    model: ModelSpec
    preprocessing: Preprocessing
    notes: tuple[str, ...]


def choose_start(
    name: str,
    weights: str | None,
    architecture: Architecture,
    pictures: Pictures,
    image_size: int | None,
    channels: int,
) -> Start:
    """Decide on model, input size and normalisation from what is asked, the weights, and the pictures.

    The name "auto" takes the model the weights belong to. An input size that is not given is the pictures'
    own (the median of their shorter sides), in whole patches, at most 224 or what the weights were trained at.

    Raises:
        ConfigError: unknown model or option.
        WeightsError: the weights cannot be read.
    """
    known = _described(weights)
    own = known.model if known else ModelSpec(_name_for(weights))
    notes: list[str] = []
    if name == "auto":
        name = encoder_name(own.name)
        notes.append(f"model {name}" + (f", as in {weights}" if weights else ""))
    name = canonical_name(name)
    inherited = own.options if known and encoder_name(own.name) == name else {}
    asked = {key: value for key, value in dataclasses.asdict(architecture).items() if value is not None}
    options = {**_shape_options(inherited), **asked, "channels": channels}
    patch_size = options.get("patch_size", getattr(BACKBONES[name][1], "patch_size", 32))
    base = known.preprocessing if known else Preprocessing()
    crop_share = base.crop_share
    if image_size is None:
        largest = known.preprocessing.image_size[0] if known else LARGEST_DEFAULT_SIZE
        image_size = default_size(pictures, patch_size, largest)
        if image_size < largest:  # the input holds the whole picture; to cut edges off would waste them (docs/log.md)
            crop_share = 1.0
        notes.append(f"image size {image_size}, by the pictures' own")
    if image_size < 4 * patch_size:
        notes.append(
            f"only {image_size // patch_size}x{image_size // patch_size} patches of {patch_size} pixels: "
            f"--architecture.patch-size {max(2, image_size // 8)} would see more"
        )
    options["image_size"] = (image_size, image_size)
    preprocessing = dataclasses.replace(
        base,
        image_size=(image_size, image_size),
        crop_share=crop_share,
        channels=channels,
        **_grey(channels, base),
    )
    return Start(ModelSpec(name, options), preprocessing, tuple(notes))


def default_size(pictures: Pictures, patch_size: int, largest: int = LARGEST_DEFAULT_SIZE) -> int:
    """Return the median shorter side of the pictures in whole patches, between 32 pixels and ``largest``."""
    step = max(1, len(pictures) // SIZES_LOOKED_AT)
    sides = [side for item in pictures.items[::step] if (side := _shorter_side(item))]
    median = int(statistics.median(sides)) if sides else largest
    side = min(max(median, SMALLEST_DEFAULT_SIZE), largest)
    return max(patch_size, side // patch_size * patch_size)


def _shorter_side(item: Path | Image.Image) -> int | None:
    if isinstance(item, Image.Image):
        return min(item.size)
    try:
        return min(open_image(item).size)
    except ImageError:
        return None


def _described(weights: str | None) -> Any:
    return describe(weights) if weights and is_checkpoint(Path(weights).expanduser()) else None


def _name_for(weights: str | None) -> str:
    """Find the named ViT whose shape a bare weights file has."""
    if weights is None:
        return DEFAULT_MODEL
    shape = shape_of(to_plain(read_state(weights_file(weights)), weights).state)
    if shape.name is None:
        raise ConfigError(f"{weights} holds {shape}, which has no name of its own; say which --model it is for")
    return shape.name


def _shape_options(options: dict[str, Any]) -> dict[str, Any]:
    """Keep the options of a checkpoint's model that make its backbone what it is."""
    names = {f.name for f in dataclasses.fields(Architecture)} - {"dropout", "attention_dropout", "drop_path"}
    kept = {key: value for key, value in options.items() if key in names}
    if kept.get("positions") == "sincos_2d":
        kept["positions"] = "learned"  # fixed while pretraining, trained afterwards, as published for MAE
    return kept


def _grey(channels: int, preprocessing: Preprocessing) -> dict[str, Any]:
    """Average a colour normalisation where pictures are grey."""
    if channels == len(preprocessing.mean):
        return {}
    if channels != 1:
        raise ConfigError(f"these weights are for {len(preprocessing.mean)} channels; use --channels 1")
    mean, std = (_average(values) for values in (preprocessing.mean, preprocessing.std))
    return {"mean": (mean,), "std": (std,)}


def _average(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
