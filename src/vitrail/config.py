"""Every setting of a run as frozen dataclasses: the same words on the command line, in Python and in JSON.

Nothing here imports torch, so that the command line can answer at once.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from vitrail import coerce
from vitrail.errors import ConfigError, nearest
from vitrail.ranges import check_range
from vitrail.serialize import in_json
from vitrail.synonyms import by_meaning

T = TypeVar("T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the model's input; it travels inside every checkpoint.

    The image's values are scaled to [0, 1], then ``(value - mean) / std`` is taken per channel.
    """

    image_size: tuple[int, int] = (224, 224)
    """Height and width of the input, in pixels."""
    channels: int = 3
    """3 for colour, 1 for grey."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    resize: Literal["crop", "squash"] = "crop"
    """crop: shorter side to image_size / crop_fraction, then the centre. squash: straight to image_size."""
    crop_fraction: float = 0.875
    """Share of the resized image that the centre crop keeps, in (0, 1]."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """How images are resized, antialiased either way."""


@dataclass(frozen=True)
class JointAugment:
    """What is done to a training image whatever is learned from it, drawn anew for each image and epoch."""

    flip: float = 0.5
    """Probability of a left-right flip."""
    color_jitter: float = 0.0
    """Strength of the change of brightness, contrast and saturation; 0 is off."""


@dataclass(frozen=True)
class ImageAugment(JointAugment):
    """What is done to a training image of which nothing else is labelled."""

    crop: Literal["random", "fixed", "none"] = "random"
    """random: random resized crop; fixed: a random place at fixed size; none: as in evaluation."""
    crop_scale: tuple[float, float] = (0.35, 1.0)
    """Smallest and largest share of the image's area that a random resized crop keeps."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Narrowest and widest width/height of a random resized crop."""
    rand_augment: int = 0
    """Magnitude of RandAugment, 1 to 30; 0 is off."""
    rand_augment_ops: int = 2
    """Operations an image gets from RandAugment."""
    erasing: float = 0.0
    """Probability that one rectangle is replaced by noise."""


@dataclass(frozen=True)
class Augment(ImageAugment):
    """What is done to a training image that has a label as a whole."""

    mixup: float = 0.0
    """Alpha of mixup's Beta distribution; 0 is off."""
    cutmix: float = 0.0
    """Alpha of cutmix's Beta distribution; 0 is off."""
    mix_probability: float = 1.0
    """Probability that a batch is mixed at all."""
    mix_switch: float = 0.5
    """Probability of cutmix rather than mixup when both are on."""


@dataclass(frozen=True)
class ImageLoader:
    """How images get from the disk to the model."""

    workers: int = -1
    """Processes that load images; 0 loads in the main process, -1 chooses by the machine."""
    cache: Literal["auto", "on", "off"] = "auto"
    """Keep decoded images in memory; auto does so when all of them fit easily."""
    views: int = 0
    """Show each image in so many fixed random views, one epoch after the other; 0: in a new one every time."""


@dataclass(frozen=True)
class Loader(ImageLoader):
    """How images that have a label as a whole get from the disk to the model."""

    balanced: bool = False
    """Draw every class equally often."""


@dataclass(frozen=True)
class Optim:
    """The optimizer, and what is done to gradients and weights around it."""

    kind: Literal["adamw", "sgd", "lars"] = "adamw"
    """lars: SGD whose rate follows the size of each layer's weights, for large batches and linear probes."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    momentum: float = 0.9
    """Momentum of SGD and LARS."""
    weight_decay: float = 0.05
    """Not applied to biases, norms, the class token and positions."""
    layer_decay: float = 1.0
    """Each layer below the head learns at this factor of the rate of the layer above it."""
    clip: float = 1.0
    """Largest norm of the whole gradient; 0 is off."""
    ema: float = 0.0
    """Decay of the exponential moving average of the weights, evaluated in their stead; 0 is off."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the steps of a run, as a factor of the peak."""

    kind: Literal["cosine", "linear", "constant"] = "cosine"
    """The way down after the warm-up."""
    warmup_epochs: float = 1.0
    """Linear rise from 0, in epochs; at most half of the run."""
    min_factor: float = 0.0
    """Factor at the end, in [0, 1]."""


@dataclass(frozen=True)
class Run:
    """How a run is carried out; nothing here changes what is learned but seed and precision."""

    seed: int = 0
    """Of all that is drawn at random."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: bf16 where the hardware computes in it, else fp32."""
    compile: bool = False
    """Let torch.compile make one program of the model: minutes at the start, then faster steps (docs/papers/mae.md)."""
    micro_batch: int = 0
    """Images per forward pass and process; 0 takes the process's whole share of the batch."""
    evaluate_every: float = 1.0
    """Epochs between evaluations; the end of the run is always evaluated."""
    save_every: float = 1.0
    """Epochs between checkpoints."""
    save_minutes: float = 5.0
    """A checkpoint is also written when this many minutes have passed since the last; 0 is off."""
    keep: int = 2
    """How many of the newest checkpoints stay, besides the best one."""
    draw_every: float = 0.0
    """Epochs between drawings of what the model makes of held-out images, in RUN/images; 0 draws at the end."""
    patience: int = 0
    """Stop after this many evaluations without a better one; 0 is off."""
    tensorboard: bool = False
    """Write TensorBoard event files beside metrics.jsonl (needs the extra tensorboard)."""
    timeout: float = 45.0
    """Seconds without a sign of life after which a data worker, or a process under torchrun, counts as stopped."""


def pair(size: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    """Return height and width; a single number stands for both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def to_json(value: Any) -> Any:
    """Turn a config (dataclasses, tuples, dicts, plain values) into what the json module writes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value) if in_json(f)}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def from_json(kind: type[T], data: dict[str, Any]) -> T:
    """Build the dataclass ``kind`` from what `to_json` made of it; the inverse of `to_json`.

    Values are converted to the types of the fields where that loses nothing (`vitrail.coerce`).

    Raises:
        ConfigError: ``data`` has a key that ``kind`` lacks, lacks one it needs, or has a value of another type; the
            nearest right names are given.
    """
    return coerce.from_json(kind, data)


def _dotted(*names: str) -> str:
    return ".".join(filter(None, names))


@functools.cache
def hints_of(kind: type) -> dict[str, Any]:
    """Return the types of a settings class's settings, by name."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}  # type: ignore[arg-type]


def check_choices(config: Any) -> None:
    """Check that every setting with a fixed list of values (a ``Literal``) has one of them.

    Raises:
        ConfigError: one has not; the nearest right values are named.
    """
    for name, hint in hints_of(type(config)).items():
        choices = typing.get_args(hint)
        if typing.get_origin(hint) is Literal and getattr(config, name) not in choices:
            near = nearest(str(getattr(config, name)), map(str, choices))
            raise ConfigError(
                f"{name} must be one of {', '.join(map(str, choices))}, not {getattr(config, name)!r}{near}"
            )


def make(kind: type[T], **settings: Any) -> T:
    """Build a settings class from what was given in Python, converted where that is exact, and checked.

    Raises:
        ConfigError: a name is not a setting of the class, or a value has another type or is out of range.
    """
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if field.default is field.default_factory is dataclasses.MISSING and field.name not in settings:
            raise ConfigError(f"{kind.__name__} needs the setting {field.name!r}")
    # A path of nothing is the working directory: nobody means that with a variable that happens to be empty.
    if settings.get("data") == "" and _is_required(kind, "data"):
        raise ConfigError('data is empty; name a folder, a CSV, or "digits" (embedded)')
    return kind(**_changes(kind, None, settings, ""))


def _is_required(kind: type, name: str) -> bool:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    return name in fields and fields[name].default is fields[name].default_factory is dataclasses.MISSING


def replace(config: T, **changes: Any) -> T:
    """Copy a config with some settings changed; a nested one takes a dict or a dataclass.

    Raises:
        ConfigError: a name is not a setting of the config, or a value has another type or is out of range.
    """
    return dataclasses.replace(config, **_changes(type(config), config, changes, ""))  # type: ignore[type-var]


def _changes(kind: type, config: Any, changes: dict[str, Any], called: str) -> dict[str, Any]:
    """Return changes to a config of a class as its own types, each checked; without a config, to its defaults."""
    names = {field.name for field in dataclasses.fields(kind)}
    hints = hints_of(kind) if _is_settings(kind) else {}
    found = {}
    for name, value in changes.items():
        if name not in names:
            raise ConfigError(f"{kind.__name__} has no setting {name!r}{meant(_dotted(called, name), kind)}")
        hint, path = hints.get(name), _dotted(called, name)
        if isinstance(value, dict) and (nested := _nested(kind, config, name)) is not None:
            value = dataclasses.replace(nested, **_changes(type(nested), nested, value, path))
        elif hint is not None:
            value = coerce.coerce(path, hint, _listed(hint, _narrowed(path, hint, value)))
            check_range(kind, name, value, path)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                check(value, called=f"{path}.{{name}}".format)
        found[name] = value
    return found


def _narrowed(path: str, hint: Any, value: Any) -> Any:
    """Return a dataclass as the class that is wanted where it is of a larger one: what is more must be at its default.

    Raises:
        ConfigError: something is set that the class does not have.
    """
    if not (isinstance(hint, type) and isinstance(value, hint) and type(value) is not hint and _is_settings(hint)):
        return value
    names = {field.name for field in dataclasses.fields(hint)}  # type: ignore[arg-type]
    for field in dataclasses.fields(value):
        if field.name not in names and getattr(value, field.name) != field.default:
            raise ConfigError(f"{hint.__name__} has no setting {_dotted(path, field.name)!r}")
    return hint(**{name: getattr(value, name) for name in names})


def _listed(hint: Any, value: Any) -> Any:
    """Return a single value as a list where any number is taken, and numbers of numpy and torch as Python has them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    options = typing.get_args(hint)
    any_number = typing.get_origin(hint) is tuple and options[-1] is Ellipsis
    single = isinstance(value, (str, int, float, os.PathLike)) and not isinstance(value, bool)
    return [value] if any_number and single else value


def _nested(kind: type, config: Any, name: str) -> Any:
    """Return the dataclass that a config holds, or would hold by default, under a name; None where it holds none."""
    if config is not None:
        current = getattr(config, name)
    else:
        field = next(field for field in dataclasses.fields(kind) if field.name == name)
        current = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    return current if dataclasses.is_dataclass(current) and not isinstance(current, type) else None


def _is_settings(kind: type) -> bool:
    """Whether a class holds settings that people give; others hold models and data, whose types are not converted."""
    modules = [cls.__module__ for cls in kind.__mro__]
    return "vitrail.config" in modules or any("settings" in module.split(".") for module in modules)


def check(config: Any, called: Callable[..., str] = "{name}".format) -> None:
    """Check that every number of a settings class, and of those in it, is in its range (`vitrail.ranges`).

    Args:
        config: a settings class.
        called: turns ``name=`` a dotted name into what it is called in a message.

    Raises:
        ConfigError: a number is out of range; the message names setting, value and range.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            check(value, lambda name, outer=field.name: called(name=f"{outer}.{name}"))
        else:
            check_range(type(config), field.name, value, called(name=field.name))


def names_of(kind: type, prefix: str = "") -> Iterator[str]:
    """List the settings of a class and of those in it by their dotted names."""
    for name, hint in hints_of(kind).items():
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield from names_of(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def meant(name: str, kind: type) -> str:
    """Return ``"; did you mean ..."`` for a setting that a class lacks: by what it is called elsewhere, or by letters.

    Args:
        name: of the setting, with dots.
        kind: the class that lacks it.
    """
    known = list(names_of(kind)) if _is_settings(kind) else [field.name for field in dataclasses.fields(kind)]
    advice = by_meaning(name, known)
    return f"; {advice}" if advice else nearest(name, known) or nearest(name.rpartition(".")[2], known)


__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Augment",
    "ImageAugment",
    "ImageLoader",
    "JointAugment",
    "Loader",
    "Optim",
    "Preprocessing",
    "Run",
    "Schedule",
    "check",
    "check_choices",
    "from_json",
    "hints_of",
    "make",
    "meant",
    "names_of",
    "pair",
    "replace",
    "to_json",
]
