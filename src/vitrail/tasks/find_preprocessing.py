"""How images are prepared for an opened model: as the user says, as is written, or as the model itself is surest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from vitrail.config import Preprocessing
from vitrail.data.item import Item
from vitrail.data.normalise import Normalise
from vitrail.data.sources import Images
from vitrail.data.transforms import eval_transform
from vitrail.errors import ConfigError, ImageError
from vitrail.settings.inputs import InputOptions, NormalizationOption, normalization_name, with_options
from vitrail.tasks.registry import find_spec
from vitrail.weights.open_any import OpenedModel, open_any
from vitrail.weights.weights_file import WeightsFile

SHOWN = 32
"""Images that a model is shown under each normalisation."""

FEWEST = 4
"""Images below which nothing is found out from how sure a model is."""

CLEARLY = 0.12, 2.0
"""The stronger contrast is taken where its mean entropy is lower by this share, and by so many standard errors.

Too weak a contrast makes a model unsure, too strong a one hardly. On 32 images of four data sets DeiT-Ti, which wants
ImageNet's, had an entropy lower by 21 to 52 % under it than under 0.5; a copy of it that wants 0.5 had one from 24 %
higher to 6 % lower. Where neither is clear, the weaker contrast is the likelier (docs/guides/any-checkpoint.md).
"""


def settle_preprocessing(
    opened: OpenedModel, options: NormalizationOption, images: Sequence[Item] = (), device: str | torch.device = "cpu"
) -> OpenedModel:
    """Decide how images are prepared for a model, and say how that is known.

    What the user says comes first, then what is written in or beside the weights, then their layout. Where that leaves
    the normalisation open, a classifier is shown images under each, and the one under which it is surest is taken.

    Args:
        opened: the model.
        options: what the user says.
        images: the user's, evenly spread ones of which are shown.
        device: where they are.

    Raises:
        ConfigError: the options do not fit the model.
    """
    description, notes = opened.description, opened.notes
    if not issubclass(find_spec(description.task).settings, InputOptions):
        _refuse_for_dense(options, opened)
    if opened.alternatives and options.normalization is None:
        chosen, note = _found_out(opened, images, device)
        description, notes = replace(description, preprocessing=chosen), (*notes, note)
        opened = replace(opened, reason="")
    asked = with_options(description.preprocessing, options)
    prepared = ""
    if asked != description.preprocessing or (options.normalization is not None and not opened.is_own):
        prepared = f"Images are prepared as asked: {in_words(asked)}."
    elif not opened.is_own:
        reason = f" ({opened.reason})" if opened.reason else ""
        prepared = f"Images are prepared so: {in_words(asked)}{reason}."
    description = replace(description, preprocessing=asked)
    return replace(opened, description=description, notes=notes, prepared=prepared, alternatives=())


def settle_weights(weights: WeightsFile, options: NormalizationOption, images: Images) -> tuple[str, ...]:
    """Decide how images are prepared for an encoder that a run starts from; return what was found out, in sentences.

    Where neither the user nor the weights say it, the classifier that they were is shown some of the run's images.

    Args:
        weights: the file; what is found out holds for it from then on.
        options: what the user says; `vitrail.settings.inputs.with_options` applies the rest of it.
        images: of the run.
    """
    if options.normalization is not None or not weights.alternatives:
        return ()
    opened = open_any(weights)
    chosen, note = _found_out(opened, items_of(images), "cpu")
    weights.assume(chosen, "as said above")
    return (note,)


def _refuse_for_dense(options: NormalizationOption, opened: OpenedModel) -> None:
    """Refuse ways to fit whole images into a square: detectors and segmenters see each image as large as it is.

    Raises:
        ConfigError: one is asked for.
    """
    for name in ("resize", "crop_fraction", "interpolation"):
        if getattr(options, name, None) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} means nothing to {opened.source}, which sees images whole; leave it out")


def items_of(images: Images) -> list[Item]:
    """Return those of a data set's images that a model may be shown, each as an item."""
    return [images.item(number) for number in spread(len(images))]


def spread(count: int) -> list[int]:
    """Return the numbers of at most `SHOWN` of ``count`` images, evenly spread."""
    shown = min(count, SHOWN)
    return [int((place + 0.5) * count / shown) for place in range(shown)]


def in_words(preprocessing: Preprocessing) -> str:
    """Say how images are prepared: ``centre of 224x224 pixels of 256x256, bicubic, normalization imagenet``."""
    height, width = preprocessing.image_size
    size = f"{height}x{width} pixels"
    if preprocessing.resize == "crop" and preprocessing.crop_fraction < 1:
        covered = (math.floor(side / preprocessing.crop_fraction) for side in (height, width))
        size = f"centre of {size} of {'x'.join(map(str, covered))}"
    elif preprocessing.resize == "crop":
        size = f"centre of {size}, the shorter side resized to that"
    else:
        size = f"squashed to {size}"
    return f"{size}, {preprocessing.interpolation}, normalization {normalization_name(preprocessing)}"


@dataclass(frozen=True)
class Sureness:
    """How sure a classifier is of images under one preprocessing: the entropy of each image's classes, in nats."""

    preprocessing: Preprocessing
    entropies: torch.Tensor

    @property
    def mean(self) -> float:
        """The mean entropy, in nats."""
        return float(self.entropies.mean())

    @property
    def name(self) -> str:
        """What the normalisation is called."""
        return normalization_name(self.preprocessing)

    @property
    def contrast(self) -> float:
        """How strong images become: one over the deviation they are divided by."""
        return len(self.preprocessing.std) / sum(self.preprocessing.std)

    def is_clearly_below(self, other: Sureness) -> bool:
        """Whether the model is much surer than under another one, and by more than chance, image by image."""
        share, errors = CLEARLY
        differences = (other.entropies - self.entropies).double()
        error = float(differences.std() / math.sqrt(len(differences)))
        return self.mean < (1 - share) * other.mean and float(differences.mean()) > errors * error


def _found_out(opened: OpenedModel, images: Sequence[Item], device: str | torch.device) -> tuple[Preprocessing, str]:
    """Return the preprocessing under which the model is surest, and a sentence about it."""
    usual = opened.description.preprocessing
    name, others = normalization_name(usual), [normalization_name(other) for other in opened.alternatives]
    start = f"{opened.source} does not say how its images are normalised"
    advice = f"if it was {' or '.join(others)}, say so with --normalization"
    if not opened.description.is_classifier:
        return usual, f"{start}, and without classes that cannot be found out: assumed {name}; {advice}."
    read = _read([images[number] for number in spread(len(images))], usual.channels)
    if not read:
        return usual, f"{start}: assumed {name}; {advice}."
    ways = [Sureness(one, entropies(opened.model, read, one, device)) for one in (usual, *opened.alternatives)]
    figures = ", ".join(f"{one.name} {one.mean:.3f}" for one in ways)
    count = f"{len(read)} image{'' if len(read) == 1 else 's'}"
    shown = f"{start}; mean entropy of its classes over {count}, in nats: {figures}"
    if len(read) < FEWEST:
        return usual, f"{shown}; too few images to tell, {name} is assumed; {advice}."
    strong, weak = max(ways, key=lambda way: way.contrast), min(ways, key=lambda way: way.contrast)
    if strong.is_clearly_below(weak):
        return strong.preprocessing, f"{shown}; {strong.name} is taken."
    unclear = "" if weak.mean < strong.mean else f", as {strong.name} would be clearly lower if it were right"
    return weak.preprocessing, f"{shown}; {weak.name} is taken{unclear} (--normalization sets it)."


def _read(images: Sequence[Item], channels: int) -> list[Any]:
    """Decode images; those that cannot be read are told of where they are asked for."""
    read = []
    for image in images:
        try:
            read.append(image.open(channels))
        except ImageError:
            continue
    return read


@torch.inference_mode()
def entropies(model: Any, images: Sequence[Any], preprocessing: Preprocessing, device: Any = "cpu") -> torch.Tensor:
    """Return the entropy of a classifier's probabilities for each image: ``(B,)`` float32, in nats."""
    transform = eval_transform(preprocessing)
    pixels = Normalise(preprocessing.mean, preprocessing.std)(torch.stack([transform(image) for image in images]))
    scores = model.to(device).eval()(pixels.to(device)).float().cpu().log_softmax(dim=1)
    return -(scores.exp() * scores).sum(dim=1)


__all__ = ["entropies", "in_words", "items_of", "settle_preprocessing", "settle_weights"]
