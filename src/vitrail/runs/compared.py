"""Another model for the images of an evaluation: those that neither of the two learned from."""

from __future__ import annotations

from pathlib import Path

from vitrail.data.sources import Images
from vitrail.errors import ConfigError, DataError
from vitrail.runs.foreign_models import published_precision
from vitrail.runs.measured import choose_split, known_split
from vitrail.settings import EvaluateSettings
from vitrail.settings.inputs import NormalizationOption
from vitrail.tasks.find_preprocessing import items_of, settle_preprocessing
from vitrail.tasks.registry import task_to_ask
from vitrail.tasks.task import Measured, Opponent
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import open_any


def open_opponent(name: str, measured: Measured, settings: EvaluateSettings) -> Opponent:
    """Open another model, with the images of an evaluation that it did not learn from either.

    Its images are prepared as its own weights say.

    Args:
        name: the other model.
        measured: the images of the evaluation.
        settings: of the evaluation.

    Raises:
        VitrailError: it cannot be used, is no model that says something of images, or there are no such images.
    """
    opened = open_any(name, accept_license=settings.accept_license)
    task = task_to_ask(name, opened.description)
    task.check_answers(name, opened.description)
    if not isinstance(settings, task.spec.settings_for(EvaluateSettings) or EvaluateSettings):
        raise ConfigError(f"{name} is {task.spec.noun}; it cannot be compared with a model for something else")
    own = choose_split(known_split(name, opened.description, settings.data), settings.split)
    images = _shared(own.images, measured.images)
    if not len(images):
        raise DataError(
            f"{name} learned from all the images of {settings.data} that are measured; name others, or give --split all"
        )
    runtime = Runtime.of(published_precision(settings, opened)).prepared()
    opened = settle_preprocessing(opened, NormalizationOption(), items_of(images), runtime.device)
    predictor = task.predictor(opened.model, opened.description, runtime, settings)
    left = len(measured.images) - len(images)
    notes = [f"{left:,} images are left out of the comparison, as {name} learned from them."] if left else []
    return Opponent(_short(name), predictor, images, (*opened.sentences, *notes))


def _shared(own: Images, measured: Images) -> Images:
    """Keep the images that are measured: both data sets are the same, in which each image has one name."""
    wanted = set(measured.names)
    return own.subset(number for number, name in enumerate(own.names) if name in wanted)


def _short(name: str) -> str:
    return Path(name).name.removesuffix(".safetensors") or name


__all__ = ["open_opponent"]
