"""Images as a model takes them: with a task's samples around them, or as one batch to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.data.normalise import Normalise
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.data.transforms import eval_transform, train_transform
from vitrail.settings import PretrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.weights.description import Description

Extra = Callable[[Tensor], dict[str, Any]]
"""Adds to a sample what its image tensor decides (a mask, say)."""

Cache = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class ShownInputs:
    """Images as a model takes them.

    Attributes:
        pixels: ``(B, C, H, W)`` uint8.
        images: the same normalised, float32.
        captions: a line for each.
    """

    pixels: Tensor
    images: Tensor
    captions: tuple[str, ...]


def eval_samples(
    images: Images, preprocessing: Preprocessing, extra: Extra | None = None, cache: Cache = "off"
) -> Samples:
    """Return images as a model sees them when it is measured; what is random is the same every time."""
    return Samples(images, eval_transform(preprocessing), 0, preprocessing.channels, extra, cache)


def image_samples(
    images: Images,
    training: bool,
    settings: ClassifySettings | PretrainSettings,
    preprocessing: Preprocessing,
    extra: Extra | None = None,
) -> Samples:
    """Return whole images as a run sees them: augmented for training, else as they are measured."""
    loader = settings.loader
    if not training:
        return eval_samples(images, preprocessing, extra, loader.cache)
    transform = train_transform(settings.augment, preprocessing)
    seed, channels = settings.run.seed, preprocessing.channels
    return Samples(images, transform, seed, channels, extra, loader.cache, loader.views)


def inputs_of(images: Images, description: Description) -> ShownInputs:
    """Read images as a model takes them; a caption gives an image's name and its label, where there is one."""
    preprocessing, names = description.preprocessing, description.class_names
    samples = eval_samples(images, preprocessing)
    read = [samples.undamaged((0, number))[0] for number in range(len(images))]
    captions = []
    for sample in read:
        label = f", labelled {names[sample['label']]}" if names and "label" in sample else ""
        captions.append(f"{images.names[sample['index']]}{label}")
    pixels = torch.stack([sample["image"] for sample in read])
    return ShownInputs(pixels, Normalise(preprocessing.mean, preprocessing.std)(pixels), tuple(captions))
