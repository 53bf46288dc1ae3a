"""A run whose head is fitted to frozen features, computed once; all else of it is a run like any other."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.config import Preprocessing, replace
from vitrail.console import percent
from vitrail.data.features import EvalFeatureBatches, FeatureBatches, Features
from vitrail.data.sources import Images, Source, training_images
from vitrail.errors import ConfigError
from vitrail.output import say
from vitrail.runs.extract_features import Extraction, features_folder
from vitrail.runs.prepare import prepare
from vitrail.runs.run_training import Plan, Result, run_training, train_batches
from vitrail.tasks.classification.fitted import FittedClassification
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.training import distributed
from vitrail.training.fit_head import FittedHead, fit_head
from vitrail.training.measure import measure
from vitrail.training.runtime import Runtime
from vitrail.weights.weights_file import WeightsFile

ONE_STEP, UNFELT = 1e-3, 1e-12
"""Epochs and rate of the one step by which the run is written down: AdamW moves a weight by the rate at most."""


def fit_run(settings: ClassifySettings, source: Source) -> Result:
    """Fit the head of a classifier to what an encoder makes of the images, and leave a run.

    The encoder sees images of the size that it was trained at, unless another is asked for: it does not learn to do
    with another.

    Raises:
        ConfigError: no encoder is named.
    """
    if settings.weights is None:
        raise ConfigError("--fit-head fits a head to what an encoder makes of the images; name one with --weights")
    weights = WeightsFile(settings.weights, accept_license=settings.accept_license)
    size = settings.image_size or weights.preprocessing.image_size
    settings = replace(settings, image_size=size, epochs=ONE_STEP, lr=UNFELT, lr_for_batch=0)
    return Fitting(prepare(settings, source, weights), settings).run()


@dataclass(frozen=True)
class Fitting:
    """A plan whose head is fitted.

    Attributes:
        plan: what is to become of it.
        settings: of the run.
    """

    plan: Plan
    settings: ClassifySettings

    def run(self) -> Result:
        """Compute features, fit the head, and write a run whose one step moves nothing."""
        images, began = training_images(self.plan.source), time.monotonic()
        plain = self._features(images, "train")
        seconds = time.monotonic() - began
        fitted = self._fit(images, plain)
        by = "" if fitted.top1 is None else f", {percent(fitted.top1)} right in cross-validation"
        say(
            f"features of {len(plain.index):,} images: {seconds:.0f} s; head by logistic "
            f"regression, C {fitted.strength:g}{by}: {time.monotonic() - began - seconds:.0f} s"
        )
        self._classifier.set_head(fitted.weight, fitted.bias)
        return run_training(self.plan, FeatureBatches(train_batches(self.plan), plain), self._evaluator())

    @property
    def _classifier(self) -> FittedClassification:
        assert isinstance(self.plan.task, FittedClassification)
        return self.plan.task

    def _fit(self, images: Images, features: Features) -> FittedHead:
        # Mirror images as a second view cost as much again, and were worth 0.1 points in cross-validation on clothing.
        return fit_head(
            features.all().flatten(1),
            features.labels(images),
            len(self.plan.description.class_names),
            features.index,
            balanced=self.settings.loader.balanced,
            seed=self.settings.run.seed,
        )

    def _evaluator(self) -> Any:
        """Return what measures the head on the features of validation images, or None where there are none."""
        images = self.plan.source.validation
        if images is None or not len(images):
            return None
        features = self._features(images, "validation")
        size, rank, world = self.settings.batch_size, distributed.rank(), distributed.world()
        batches = EvalFeatureBatches(images, features, size, rank, world)
        return lambda task: measure(task, batches)

    def _features(self, images: Images, split: str) -> Features:
        model, preprocessing = self._classifier.model, self.plan.description.preprocessing
        return head_inputs(model, preprocessing, self.settings, Path(self.plan.folder), images, split)


def head_inputs(
    model: Any, preprocessing: Preprocessing, settings: ClassifySettings, folder: Path, images: Images, split: str
) -> Features:
    """Return what a run's frozen backbone gives its head of images, from the disk where they were computed before.

    Args:
        model: a classifier whose backbone is the run's.
        preprocessing: how an image becomes its input.
        settings: of the run.
        folder: of the run.
        images: of one split.
        split: what it is called.
    """
    backbone = model.backbone
    extraction = Extraction(
        what="head-input",
        model=backbone,
        weights=backbone.state_dict(),
        extract=backbone.head_input,
        preprocessing=preprocessing,
        folder=features_folder(settings.weights, folder),
        runtime=Runtime.of(settings.run),
        workers=settings.loader.workers,
    )
    return extraction.features(images, f"{settings.data} {split}")


__all__ = ["Fitting", "fit_run", "head_inputs"]
