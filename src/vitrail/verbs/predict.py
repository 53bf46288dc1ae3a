"""``vitrail predict``: what is in pictures."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.errors import ConfigError, DataError
from vitrail.settings import PredictSettings
from vitrail.training.precision import device as pick_device
from vitrail.training.precision import resolve
from vitrail.verbs.pictures import find_pictures, read_inputs
from vitrail.verbs.say import say_table
from vitrail.weights.checkpoint import open_checkpoint


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture.

    Attributes:
        file: the picture.
        classes: the best classes and their probabilities, best first; empty for a damaged picture.
        error: why the picture could not be read, if it could not.
    """

    file: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None


def predict(checkpoint: str, pictures: str | Path | Sequence[str | Path], **settings: Any) -> list[Prediction]:
    """Say what is in pictures.

    Args:
        checkpoint: a run folder or a checkpoint of a classifier.
        pictures: files, folders or globs.
        **settings: any other field of `vitrail.settings.PredictSettings`.

    Returns:
        One prediction for each picture; damaged ones say why.

    Raises:
        VitrailError: the checkpoint cannot be used, or a name means no picture.
    """
    names = [pictures] if isinstance(pictures, (str, Path)) else pictures
    asked = PredictSettings(checkpoint=checkpoint, pictures=tuple(str(name) for name in names), **settings)
    return list(_predictions(asked))


def run(settings: PredictSettings) -> None:
    """Predict and print, picture after picture where the format allows."""
    form = "json" if settings.json else settings.format
    predictions = _predictions(settings)
    if form == "json":
        for prediction in predictions:
            print(json.dumps(vars(prediction)), flush=True)
    elif form == "csv":
        _write_csv(predictions, settings.top)
    else:
        rows = [(p.file, *_shown(p, settings.top)) for p in predictions]
        width = max(len(row) for row in rows)
        columns = ("picture", *(f"{n}." for n in range(1, width)))
        say_table("", columns, [(*row, *[""] * (width - len(row))) for row in rows])


def _predictions(settings: PredictSettings) -> Iterator[Prediction]:
    if settings.top < 1 or settings.batch_size < 1:
        raise ConfigError("top and batch_size must be 1 or more")
    if not settings.pictures:
        raise DataError("name pictures to look at: files, folders or globs")
    files = find_pictures(settings.pictures)
    model, description = open_checkpoint(settings.checkpoint)
    if not description.is_classifier:
        raise ConfigError(
            f"{settings.checkpoint} is a {description.model.name}, which knows no classes; fine-tune it first: "
            f"vitrail train DATA --weights {settings.checkpoint}"
        )
    device = pick_device(settings.device)
    model.to(device)
    precision = resolve(settings.precision, device)
    for start in range(0, len(files), settings.batch_size):
        images, read, errors = read_inputs(files[start : start + settings.batch_size], description.preprocessing)
        with torch.inference_mode(), precision.autocast():
            shares = model(images.to(device)).float().softmax(dim=1).cpu() if read else images
        best = shares.topk(min(settings.top, len(description.class_names)), dim=1) if read else None
        for number, file in enumerate(read):
            assert best is not None
            pairs = zip(best.indices[number].tolist(), best.values[number].tolist(), strict=True)
            yield Prediction(str(file), tuple((description.class_names[i], p) for i, p in pairs))
        for error in errors:
            yield Prediction(error.path, error=error.reason)


def _shown(prediction: Prediction, top: int) -> list[str]:
    if prediction.error:
        return [f"not read: {prediction.error}", *[""] * (top - 1)]
    return [f"{name} {share:.1%}" for name, share in prediction.classes]


def _write_csv(predictions: Iterator[Prediction], top: int) -> None:
    writer = csv.writer(sys.stdout)
    ranks = range(1, top + 1)
    writer.writerow(["file", *(f"{what}_{n}" for n in ranks for what in ("class", "probability")), "error"])
    for p in predictions:
        pairs = [*p.classes, *[("", "")] * (top - len(p.classes))]
        writer.writerow([p.file, *(cell for pair in pairs for cell in pair), p.error or ""])
