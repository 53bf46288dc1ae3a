"""Saying which class every pixel shows, as a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.config import replace
from vitrail.console import percent
from vitrail.data.batches import EvalBatches
from vitrail.data.cuts import random_cut
from vitrail.data.scenes import is_scenes
from vitrail.data.segment_folders import NAMES_FILE, check_masks, is_segments, open_segments, read_names
from vitrail.data.segments import SegmentImages, SegmentSamples
from vitrail.data.sources import Images, Source
from vitrail.data.wrapper_folders import enter
from vitrail.errors import ConfigError, DataError, none_readable
from vitrail.heads.dense import dense_of
from vitrail.output import say, say_table
from vitrail.paths import user_path
from vitrail.settings import LookSettings
from vitrail.tasks.dense import DenseTask
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import unread
from vitrail.tasks.segmentation.figures import draw_segments
from vitrail.tasks.segmentation.files import Segments, write_segments
from vitrail.tasks.segmentation.loss import Segmentation
from vitrail.tasks.segmentation.metrics import SegmentEvaluation, summarise
from vitrail.tasks.segmentation.page import illustrate
from vitrail.tasks.segmentation.predictor import PixelClasses, PixelPredictor, in_windows, whole_images
from vitrail.tasks.segmentation.settings import (
    SegmentationOptions,
    SegmentEvaluateSettings,
    SegmentPredictSettings,
    SegmentSettings,
)
from vitrail.tasks.segmentation.spec import SEGMENT
from vitrail.tasks.segmentation.study import Study
from vitrail.tasks.task import Learning, Measured, RunContext
from vitrail.training import distributed
from vitrail.training.runtime import Runtime
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description

NAMED = 3
"""Classes that the table names of each image where nothing is said."""

SCALES = {"crop": None, "none": (1.0, 1.0)}


class SegmentationTask(DenseTask):
    """Naming the class of every pixel."""

    spec = SEGMENT

    def open(self, settings: SegmentSettings) -> Source:
        """Open images with masks, or draw scenes."""
        if is_scenes(settings.data):
            _check_scenes(settings.dense)
        names = read_names(settings.dense.classes) if settings.dense.classes else ()
        source = open_segments(
            settings.data,
            ignore=settings.dense.ignore,
            class_names=names,
            seed=settings.run.seed,
            validation_share=settings.validation_share,
        )
        return dataclasses.replace(source, notes=(*source.notes, *check_masks(source)))

    def reopen(self, description: Description, data: str) -> Source:
        """Open images with masks, or draw scenes, of the segmenter's classes."""
        known, names = description.settings, description.class_names
        named = enter(user_path(data), is_segments) / NAMES_FILE
        if known.get("data") != data and named.is_file() and read_names(named) != names:
            raise DataError(f"{named} names other classes than the model knows: {', '.join(names[:8])}")
        ignore = dense_of(description.model).ignore
        return open_segments(data, ignore=ignore, class_names=names, validation_share=0.0, for_evaluation=True)

    def prepare(self, model: Any, run: RunContext) -> Learning:
        """Return the cross-entropy of every pixel."""
        settings, preprocessing = run.settings, run.description.preprocessing
        loss = Segmentation(model, preprocessing, settings.dense.auxiliary, settings.smoothing)
        return Learning(loss, lambda images, training: _samples(run, images, training))

    def predictor(
        self,
        model: Any,
        description: Description,
        runtime: Runtime,
        settings: SegmentEvaluateSettings | SegmentPredictSettings | None = None,
    ) -> PixelPredictor:
        """Return the model as a function of images."""
        return PixelPredictor(model, description, runtime, settings.scoring if settings else None)

    def evaluate(self, measured: Measured, predictor: Any, settings: SegmentEvaluateSettings) -> SegmentEvaluation:
        """Count the pixels of every class that are right, over all processes."""
        images, names = measured.images, predictor.description.class_names
        batches = predictor.batches(images, 1, settings.workers)
        totals, study = _measured(predictor, batches)
        damaged = unread(batches)
        if not totals:
            raise DataError(none_readable(len(images), *damaged[:1], data=measured.data))
        if not sum(totals["pixel_accuracy"][1]):
            raise DataError(
                f"the {measured.split} masks of {measured.data} are void all over: there is nothing to measure"
            )
        large = sum(distributed.gather(predictor.module.in_windows))
        notes = (*measured.notes, *((in_windows(large, predictor.module.limit.window),) if large else ()))
        return summarise(measured.split, images, totals, study, names, damaged, notes)

    def illustrate(
        self, found: Any, measured: Measured, predictor: Any, settings: SegmentEvaluateSettings
    ) -> Illustrated:
        """Draw confusions, classes, precision over recall, and the worst images."""
        return illustrate(found, measured.images, predictor, settings.all_classes)

    def unread(self, name: str, reason: str) -> Segments:
        """Return the prediction of an image that cannot be read."""
        return Segments(name, error=reason)

    def keep(
        self, name: str, image: Image.Image, found: PixelClasses, description: Description, place: Path, settings: Any
    ) -> Segments:
        """Write an index image and an overlay."""
        return _shortened(write_segments(name, image, found, description, place), settings.top)

    def print_table(self, settings: SegmentPredictSettings, predictions: Iterable[Segments], out: Path) -> None:
        """Print a row for each image."""
        segments = list(predictions)
        rows = [(p.file, p.error or p.mask, _most(p, settings.top or NAMED)) for p in segments]
        say_table("", ("image", "mask", "shows"), rows)
        windows = [p.window for p in segments if p.window]
        if windows:
            say(in_windows(len(windows), windows[0]))

    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw what the model says of some images and where it errs, and the maps its head gets."""
        return draw_segments(model, description, images)


def _measured(predictor: PixelPredictor, batches: EvalBatches) -> tuple[Any, Study]:
    """Add up what is measured over all processes, and keep what is of interest of each image."""
    study = Study()
    predictor.module.watch = study.watch
    try:
        return predictor.totals(batches, study.each), study.gathered()
    finally:
        predictor.module.watch = None


def _check_scenes(dense: SegmentationOptions) -> None:
    """Refuse what is for masks in files: drawn scenes have no void, and know their classes."""
    for name in ("ignore", "classes"):
        if getattr(dense, name) != getattr(SegmentationOptions, name):
            raise ConfigError(f"--dense.{name} is for masks in files, and scenes are drawn; leave it out")


def _samples(run: RunContext, images: Images, training: bool) -> SegmentSamples:
    """Return parts of images for training, whole ones for evaluation."""
    settings, description = run.settings, run.description
    assert isinstance(images, SegmentImages)
    preprocessing, cache = description.preprocessing, settings.loader.cache
    if not training:
        return whole_images(images, description, cache)
    dense = settings.dense
    scale = SCALES[dense.jitter] or dense.jitter_scale
    cut = random_cut(settings.augment, preprocessing, scale, dense.short_side)
    return SegmentSamples(images, cut, settings.run.seed, preprocessing.channels, cache, views=settings.loader.views)


def _shortened(prediction: Segments, top: int | None) -> Segments:
    """Name all classes, or as many as were asked for."""
    return prediction if top is None else replace(prediction, classes=prediction.classes[:top])


def _most(prediction: Segments, top: int) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in prediction.classes[:top])
