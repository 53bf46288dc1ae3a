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
    """Predict and print.

    Raises:
        DataError: not one of the pictures could be read; what is wrong with each has been printed by then.
    """
    files = _files(settings)
    read: list[bool] = []
    predictions = _noting(_predictions(settings, files), read)
    kind_of(describe(settings.checkpoint).task).print(settings, predictions)
    if not any(read):
        refused = f"{files[0]} cannot" if len(files) == 1 else f"none of the {len(files):,} files can"
        raise DataError(f"{refused} be read as a picture; see above for the reason")


def _noting(predictions: Iterator[Any], read: list[bool]) -> Iterator[Any]:
    """Pass predictions on, and note of each in ``read`` whether its picture could be read."""
    for prediction in predictions:
        read.append(prediction.error is None)
        yield prediction


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
