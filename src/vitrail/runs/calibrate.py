"""When a run's classifier can be believed: learned from its validation images, and stored beside its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitrail.data.sources import Images, Source
from vitrail.errors import VitrailError
from vitrail.output import say
from vitrail.runs.fit_head import head_inputs
from vitrail.settings import TrainSettings
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.classification.reliability import Scored, learnable, learned, score_alone, sentence
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.training import distributed
from vitrail.training.runtime import Runtime
from vitrail.weights.calibration_file import calibration_folder, write_calibration
from vitrail.weights.checkpoint import open_checkpoint


def calibrate_run(folder: Path, settings: TrainSettings, source: Source) -> None:
    """Learn from a finished run's validation images when its best checkpoint can be believed, and store it there.

    A run without such images, and one that is no classifier's, leaves nothing. Where it cannot be learned or stored, it
    is said why, and the run is as good as it was. Only the main process does so.
    """
    images = source.validation
    if not distributed.is_main() or not isinstance(settings, ClassifySettings) or images is None or not len(images):
        return
    try:
        model, description = open_checkpoint(folder)
        predictor = ClassPredictor(model, description, Runtime.of(settings.run), settings.batch_size)
        images = images if settings.fit_head else learnable(images, len(description.class_names))
        scored = _scored(predictor, settings, folder, images)
        stored = learned(predictor, scored, (settings.data, "validation", len(images)))
        write_calibration(calibration_folder(folder), stored, predictor.model, description.preprocessing)
    except (VitrailError, OSError) as error:
        reason = error.strerror or error if isinstance(error, OSError) else error
        say(f"not stored when this classifier can be believed: {reason}")
    else:
        say(sentence(stored))


def _scored(predictor: ClassPredictor, settings: ClassifySettings, folder: Path, images: Images) -> Scored:
    """Score validation images; what a frozen backbone makes of them lies on the disk since the run began."""
    # Features are read by all processes together, and here is only one of them.
    if not settings.fit_head or distributed.world() > 1:
        return score_alone(predictor, images, settings.loader.workers)
    preprocessing = predictor.description.preprocessing
    features = head_inputs(predictor.model, preprocessing, settings, folder, images, "validation")
    inputs = features.all()
    with predictor.computing():
        logits = predictor.model.score(inputs.to(predictor.runtime.device)).float().cpu()
    numbers, labels = np.asarray(features.index), features.labels(images).numpy()
    return Scored(numbers, labels, logits.numpy(), inputs.flatten(1).numpy())


__all__ = ["calibrate_run"]
