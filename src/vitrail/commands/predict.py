"""``vitrail predict``: what is in images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vitrail.data.item import Item
from vitrail.data.requested import requested_images
from vitrail.errors import DataError
from vitrail.output import warn
from vitrail.runs.foreign_models import published_precision
from vitrail.runs.next_steps import after_predict, say_next
from vitrail.runs.place import check_place
from vitrail.runs.prediction_folder import out_folder
from vitrail.runs.progress import reported
from vitrail.settings import PredictSettings
from vitrail.tasks.asked import answer_settings, check_own
from vitrail.tasks.classification.predictions import Prediction
from vitrail.tasks.find_preprocessing import settle_preprocessing
from vitrail.tasks.left_out import left_out
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.registry import task_to_ask
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import OpenedModel, open_any


def predict(checkpoint: str | Path, images: Any, **settings: Any) -> list[Any]:
    """Say what is in images.

    Args:
        checkpoint: a run folder, a checkpoint, or anybody's weights of a known layout.
        images: one of these, or any number of them, mixed: names of files, folders or globs (``str`` or ``Path``);
            PIL images; numpy arrays ``(H, W)`` or ``(H, W, C)`` and torch tensors ``(H, W)`` or ``(C, H, W)``, uint8
            from 0 to 255, C of 1, 3 (RGB) or 4 (RGB and alpha), or with one dimension more for several images; the
            bytes of an image file; files opened in binary mode.
        **settings: any other option of ``vitrail predict CHECKPOINT``; those of one task are refused by another.

    Returns:
        One prediction for each image in the order of the request, one asked for twice twice: a `Prediction` of a
        classifier (probabilities in [0, 1]), a `vitrail.tasks.detection.found.Detected` of a detector (boxes in
        pixels), a `vitrail.tasks.segmentation.files.Segments` of a segmenter (shares of the pixels). With ``abstain``
        that of a classifier is a `vitrail.tasks.classification.predictions.CautiousPrediction`. One that cannot be
        read has an ``error`` in its place. In ``file`` an image in memory is called ``image N``, N its place from 0.

    Raises:
        VitrailError: the checkpoint cannot be used, or nothing of the request is an image.
    """
    requested = requested_images(images)
    named = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in settings.items()}
    opened = open_any(checkpoint, accept_license=bool(settings.get("accept_license")))
    task = task_to_ask(str(checkpoint), opened.description)
    called = tuple(image.name for image in requested)
    asked = answer_settings(PredictSettings, task.spec, checkpoint=str(checkpoint), images=called, **named)
    opened = _checked(asked, opened, requested)
    predictor = _predictor(asked, opened)
    for note in (*opened.notes, *predictor.notes):
        warnings.warn(note, stacklevel=2)
    return list(task.predict(requested, predictor, asked, out_folder(asked)))


def run(settings: PredictSettings) -> None:
    """Predict and print.

    Raises:
        DataError: not one of the images could be read; what is wrong with each has been printed by then.
    """
    images = requested_images(settings.images)
    unread: list[str] = []
    opened = open_any(settings.checkpoint, accept_license=settings.accept_license)
    opened = _checked(settings, opened, images)
    for note in opened.sentences:
        warn(note)
    predictor, task = _predictor(settings, opened), task_to_ask(settings.checkpoint, opened.description)
    for note in filter(None, (predictor.about, *predictor.notes)):
        warn(note)
    predictions = task.predict(images, predictor, settings, out_folder(settings))
    task.print(settings, _noting(reported(predictions, len(images), "images"), unread), out_folder(settings))
    if len(unread) == len(images):
        refused = f"{images[0].name} cannot" if len(images) == 1 else f"none of the {len(images):,} files can"
        raise DataError(f"{refused} be read as an image; see above for the reason")
    for line in left_out(unread, len(images)):  # in the order of the request
        warn(line)
    if settings.format == "table" and not settings.json:
        say_next(after_predict(settings))


def _noting(predictions: Iterator[Any], unread: list[str]) -> Iterator[Any]:
    """Pass predictions on, and note of each image that could not be read what it is called and why."""
    for prediction in predictions:
        if prediction.error is not None:
            unread.append(f"{prediction.file}: {prediction.error}")
        yield prediction


def _checked(settings: PredictSettings, opened: OpenedModel, images: list[Item]) -> OpenedModel:
    """Refuse what the model cannot be asked or written to, and decide how the images are prepared for it."""
    if settings.out is not None:
        check_place(settings.out, "", settings.images)
    task = task_to_ask(settings.checkpoint, opened.description)
    check_own(settings, PredictSettings, task.spec)
    return settle_preprocessing(opened, settings, images, Runtime.of(settings).device)


def _predictor(settings: PredictSettings, opened: OpenedModel) -> Predictor[Any]:
    """Return the model as a function of images, as the settings ask for it."""
    settings, task = published_precision(settings, opened), task_to_ask(settings.checkpoint, opened.description)
    return task.predictor(opened.model, opened.description, Runtime.of(settings), settings)


__all__ = ["Prediction", "predict", "run"]
