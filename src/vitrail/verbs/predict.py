"""``vitrail predict``: what is in pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vitrail.errors import ConfigError, DataError
from vitrail.settings import PredictSettings
from vitrail.verbs.kinds import kind_of
from vitrail.verbs.kinds.classification import Prediction
from vitrail.verbs.pictures import find_pictures
from vitrail.weights.checkpoint import describe, open_checkpoint


def predict(checkpoint: str, pictures: str | Path | Sequence[str | Path], **settings: Any) -> list[Any]:
    """Say what is in pictures.

    Args:
        checkpoint: a run folder or a checkpoint of a trained model.
        pictures: files, folders or globs.
        **settings: any other field of `vitrail.settings.PredictSettings`.

    Returns:
        One prediction for each picture, a `Prediction` of a classifier; damaged ones say why.

    Raises:
        VitrailError: the checkpoint cannot be used, or a name means no picture.
    """
    names = [pictures] if isinstance(pictures, (str, Path)) else pictures
    asked = PredictSettings(checkpoint=checkpoint, pictures=tuple(str(name) for name in names), **settings)
    return list(_predictions(asked, _files(asked)))


def run(settings: PredictSettings) -> None:
    """Predict and print."""
    files = _files(settings)
    kind_of(describe(settings.checkpoint).task).print(settings, _predictions(settings, files))


def _files(settings: PredictSettings) -> list[Path]:
    if settings.top < 1 or settings.batch_size < 1:
        raise ConfigError("top and batch_size must be 1 or more")
    if not settings.pictures:
        raise DataError("name pictures to look at: files, folders or globs")
    return find_pictures(settings.pictures)


def _predictions(settings: PredictSettings, files: list[Path]) -> Iterator[Any]:
    model, description = open_checkpoint(settings.checkpoint)
    yield from kind_of(description.task).predict(settings, files, model, description)


__all__ = ["Prediction", "predict", "run"]
