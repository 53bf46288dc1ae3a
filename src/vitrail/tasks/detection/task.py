"""Finding objects, as a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import nn

from vitrail.config import Preprocessing
from vitrail.console import percent
from vitrail.data.coco import open_coco
from vitrail.data.joint import training_transform
from vitrail.data.objects import ObjectImages, ObjectSamples
from vitrail.data.scenes import is_scenes, open_scenes
from vitrail.data.sources import Images, Source
from vitrail.errors import DataError, none_readable
from vitrail.heads.registry import BOX_HEADS
from vitrail.heads.spec import ModelSpec
from vitrail.output import say, say_table
from vitrail.settings import LookSettings
from vitrail.tasks.dense import DenseTask
from vitrail.tasks.detection.average_precision import truth_of, twelve_figures
from vitrail.tasks.detection.figures import draw
from vitrail.tasks.detection.found import (
    Detected,
    drawn_objects,
    find_all,
    whole_image,
    write_coco,
)
from vitrail.tasks.detection.loss import Detection
from vitrail.tasks.detection.metrics import DetectionEvaluation, summarise
from vitrail.tasks.detection.page import illustrate
from vitrail.tasks.detection.predictor import THRESHOLD, FoundObjects, ObjectPredictor
from vitrail.tasks.detection.settings import DetectEvaluateSettings, DetectPredictSettings, DetectSettings
from vitrail.tasks.detection.spec import DETECT
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import unread
from vitrail.tasks.task import Learning, Measured, RunContext
from vitrail.training.interfaces import Batch
from vitrail.training.runtime import Runtime
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description

WATCHED = ("ap", "ap50", "ap75")
"""The figures that are followed along a run."""


class DetectionTask(DenseTask):
    """Finding each object in an image."""

    spec = DETECT

    def open(self, settings: DetectSettings) -> Source:
        """Open images with COCO's annotations, or draw scenes."""
        masks = settings.dense.head not in BOX_HEADS
        return _open(settings.data, masks, seed=settings.run.seed, validation_share=settings.validation_share)

    def reopen(self, description: Description, data: str) -> Source:
        """Open images with COCO's annotations, or draw scenes, of the detector's classes."""
        masks = description.model.head not in BOX_HEADS
        source = _open(data, masks, class_names=description.class_names, validation_share=0.0)
        if source.class_names != description.class_names:
            raise DataError(
                f"{data} has other classes than the detector was trained on: "
                f"{', '.join(source.class_names[:8])} and not {', '.join(description.class_names[:8])}"
            )
        return source

    def describe(
        self, settings: DetectSettings, backbone: ModelSpec, preprocessing: Preprocessing, source: Source
    ) -> Description:
        """Describe backbone, head, classes, and what the data set calls each."""
        described = super().describe(settings, backbone, preprocessing, source)
        return dataclasses.replace(described, category_ids=cast(ObjectImages, source.train).category_ids)

    def prepare(self, model: Any, run: RunContext) -> Learning:
        """Return the sum of the detector's losses; boxes and masks are measured together over all images."""
        truth = cast(ObjectImages, run.source.validation)
        return Learning(
            Detection(model, run.description.preprocessing),
            lambda images, training: _samples(run, cast(ObjectImages, images), training),
            partial(_measure, images=truth, names=run.description.class_names),
        )

    def predictor(
        self, model: Any, description: Description, runtime: Runtime, settings: Any = None
    ) -> ObjectPredictor:
        """Return the model as a function of images."""
        threshold = settings.threshold if isinstance(settings, DetectPredictSettings) else THRESHOLD
        return ObjectPredictor(model, description, runtime, threshold)

    def evaluate(self, measured: Measured, predictor: Any, settings: DetectEvaluateSettings) -> DetectionEvaluation:
        """Find objects in every image, over all processes, and compare."""
        images, description = cast(ObjectImages, measured.images), predictor.description
        if all(one["iscrowd"] for one in truth_of(images, description.class_names)["annotations"]):
            raise DataError(
                f"the {measured.split} images of {measured.data} show no object: there is nothing to measure"
            )
        batches = predictor.batches(images, settings.batch_size, settings.workers)
        results, looked_at = predictor.results(batches)
        damaged = unread(batches)
        if not looked_at:
            raise DataError(none_readable(len(images), *damaged[:1], data=measured.data))
        # Objects in images that cannot be read are not missed: nobody looked.
        truth = truth_of(images, description.class_names, frozenset(looked_at))
        notes, masks = (*measured.of_source, *measured.notes), predictor.model.finds_masks
        return summarise(measured.split, truth, results, damaged, masks, THRESHOLD, notes)

    def illustrate(
        self, found: Any, measured: Measured, predictor: Any, settings: DetectEvaluateSettings
    ) -> Illustrated:
        """Draw precision over recall, the classes, and the images with most mistakes."""
        return illustrate(found, measured.images, settings.all_classes)

    def unread(self, name: str, reason: str) -> Detected:
        """Return the prediction of an image that cannot be read."""
        return Detected(name, error=reason)

    def keep(
        self, name: str, image: Image.Image, found: FoundObjects, description: Description, place: Path, settings: Any
    ) -> Detected:
        """Draw the objects of an image."""
        drawn = place.with_name(f"{place.name}.png")
        drawn_objects(image, found.detections, found.class_names).save(drawn)
        return Detected(name, found.objects(), str(drawn), size=image.size)

    def keep_all(self, predictions: list[Detected], description: Description, out: Path) -> None:
        """Write all objects as COCO's JSON."""
        write_coco(predictions, description, out / "predictions.json")

    def said_in_json(self, prediction: Detected) -> dict[str, Any]:
        """Return all but the size, which ``predictions.json`` holds."""
        return {key: value for key, value in vars(prediction).items() if key != "size"}

    def print_table(self, settings: DetectPredictSettings, predictions: Iterable[Detected], out: Path) -> None:
        """Print a row for each object."""
        rows = []
        for one in predictions:
            if one.error:
                rows.append((one.file, f"not read: {one.error}", "", ""))
            for thing in one.objects:
                box = " ".join(f"{side:.0f}" for side in thing["box"])
                rows.append((one.file, thing["class"], percent(thing["score"]), box))
        say_table("", ("image", "object", "score", "left top width height"), rows)
        say(f"drawn, with predictions.json: {out}")

    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw what is found beside what is there, and how the detector looks at it."""
        return draw(model, description, images)


def _samples(run: RunContext, images: ObjectImages, training: bool) -> ObjectSamples:
    """Return images with their objects, changed together for training."""
    settings, preprocessing = run.settings, run.description.preprocessing
    side = min(preprocessing.image_size)
    dense, cache, channels = settings.dense, settings.loader.cache, preprocessing.channels
    if not training:
        return ObjectSamples(images, whole_image(run.description), 0, channels, False, cache)
    transform = training_transform(side, dense, settings.augment)
    return ObjectSamples(images, transform, settings.run.seed, channels, True, cache, settings.loader.views)


def _measure(
    task: nn.Module, batches: Iterable[Batch], images: ObjectImages, names: tuple[str, ...]
) -> dict[str, float]:
    """Return the watched figures of boxes and, where there are any, of masks."""
    training = task.training
    task.eval()
    with torch.inference_mode():
        results, looked_at = find_all(task, batches)
    task.train(training)
    truth = truth_of(images, names, frozenset(looked_at))
    kinds = {"box": False, **({"mask": True} if cast(Detection, task).model.finds_masks else {})}
    figures = {kind: twelve_figures(truth, results, masks) for kind, masks in kinds.items()}
    return {f"{kind}_{name}": found[name] for kind, found in figures.items() for name in WATCHED}


def _open(data: str, masks: bool, **options: Any) -> Source:
    return open_scenes(data) if is_scenes(data) else open_coco(data, masks=masks, **options)


__all__ = ["DetectionTask"]
