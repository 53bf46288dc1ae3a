"""``vitrail train``: a classifier, detector or segmenter from labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.data.sources import Source
from vitrail.runs.calibrate import calibrate_run
from vitrail.runs.finish_run import finish_run
from vitrail.runs.fit_head import fit_run
from vitrail.runs.prepare import open_data, prepare
from vitrail.runs.run_training import Result, run_training
from vitrail.runs.tune import Tuning
from vitrail.settings import TrainSettings
from vitrail.tasks.asked import settings_asked
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.training import distributed


def train(data: str | Path, *, recipe: str = "auto", **settings: Any) -> Result:
    """Train a classifier, a detector or a segmenter on labelled images.

    Args:
        data: to classify a folder per class (with or without splits), a CSV of file and label, or "digits"; to
            detect a folder with COCO's annotations, to segment one of images and masks, or for both "scenes".
        recipe: the settings to begin with; "auto" takes finetune with ``weights``, scratch without.
        **settings: any field of `vitrail.settings.TrainSettings`; nested ones as dicts
            (``optim={"weight_decay": 0.1}``).

    Returns:
        The run folder and the metrics of the best evaluation.

    Raises:
        VitrailError: data, settings or weights cannot be used; nothing was trained.
        Interrupted: asked to stop; the same call goes on.
    """
    return run(settings_asked(TrainSettings, data, recipe, settings))


@distributed.processes()
def run(settings: TrainSettings) -> Result:
    """Train as the settings say; `train` explains."""
    source = open_data(settings)
    result = learn(settings, source)
    calibrate_run(result.folder, settings, source)
    finish_run(result, "Fine-tuning" if settings.weights else "Training", source)
    return result


def learn(settings: TrainSettings, source: Source) -> Result:
    """Train on an open source, and leave it at that: no images, no report."""
    if isinstance(settings, ClassifySettings) and settings.fit_head:
        return fit_run(settings, source)
    plan = prepare(settings, source)
    if isinstance(settings, ClassifySettings) and settings.tune_blocks is not None:
        return Tuning.of(plan).run_training()
    return run_training(plan)
