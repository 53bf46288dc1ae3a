"""Small classifiers with random weights, put under stress."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.commands.untrained import NAMES, untrained
from vitrail.data.sources import Images
from vitrail.stress.chosen import ChosenImages, choose_images
from vitrail.stress.model import StressedModel
from vitrail.tasks.registry import task_of
from vitrail.training.runtime import Runtime
from vitrail.weights.checkpoint import open_checkpoint


def stressed(folder: Path, model: str = "vit_ti16", name: str = "small", **options: Any) -> StressedModel:
    """Return a model of the library's for images of 32 x 32 pixels."""
    opened, description = open_checkpoint(untrained(folder / name, model=model, **options))
    return StressedModel(name, task_of(description).predictor(opened, description, Runtime.named("cpu", "fp32")))


def labelled(count: int, first: int = 0) -> Images:
    """Return images in memory, of three classes in turn."""
    items = [picture(first + number) for number in range(count)]
    labels = tuple((first + number) % len(NAMES) for number in range(count))
    return Images(items, labels, tuple(f"image {first + number}" for number in range(count)))


def picture(number: int) -> Image.Image:
    """Return an image of noise and of one colour for each class."""
    random = np.random.RandomState(100 + number)
    pixels = random.randint(0, 90, (40, 36, 3))
    pixels[..., number % len(NAMES)] += 120
    return Image.fromarray(pixels.astype(np.uint8))


def chosen(model: StressedModel, count: int = 9) -> ChosenImages:
    """Return images as a model takes them."""
    return choose_images(labelled(count), model.predictor.description.preprocessing, 0, "test")
