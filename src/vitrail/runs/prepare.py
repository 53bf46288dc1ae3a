"""What is trained, with the weights it starts from and its run folder: the same for every task."""

from __future__ import annotations

from typing import Any

from vitrail.data.sources import Source, training_images
from vitrail.heads.registry import build
from vitrail.runs.choose_model import choose_model
from vitrail.runs.finish_run import drawer
from vitrail.runs.held_out import check_share
from vitrail.runs.place import check_place
from vitrail.runs.run_folder import default_folder, given_back_if_refused, open_folder
from vitrail.runs.run_training import Plan
from vitrail.runs.split import run_split, with_images
from vitrail.seeding import seeded
from vitrail.settings import LearningSettings
from vitrail.settings.inputs import with_options
from vitrail.tasks.find_preprocessing import settle_weights
from vitrail.tasks.registry import task_to_learn
from vitrail.tasks.task import RunContext
from vitrail.weights.weights_file import WeightsFile


def open_data(settings: LearningSettings) -> Source:
    """Open and divide the images of a run, once its place is known to be one that can be written to.

    Raises:
        ConfigError: the run folder cannot be, or images are held out otherwise than they were asked to be.
        DataError: the images cannot be used.
    """
    verb = task_to_learn(settings).spec.verb
    check_place(settings.out, default_folder(verb, settings.data), [settings.data])
    source = run_split(settings)
    check_share(settings, source)
    return source


def prepare(settings: LearningSettings, source: Source, weights: WeightsFile | None = None) -> Plan:
    """Build what is to be trained on an open source, with the weights it starts from and its run folder.

    Args:
        settings: what to train.
        source: the images.
        weights: those that ``settings.weights`` names, where they are open already.
    """
    task = task_to_learn(settings)
    if weights is None and settings.weights is not None:
        weights = WeightsFile(settings.weights, accept_license=settings.accept_license)
    images = training_images(source)
    found_out = settle_weights(weights, settings, images) if weights else ()
    start = choose_model(
        settings.model,
        weights,
        settings.architecture,
        images,
        settings.image_size,
        settings.channels,
    )
    preprocessing = with_options(start.preprocessing, settings)
    description = with_images(task.describe(settings, start.backbone, preprocessing, source), source)
    with seeded(settings.run.seed):
        model: Any = build(description.model)
        notes = (*source.notes, *found_out, *start.notes, *task.initialise(model, settings, weights))
        folder = open_folder(settings.out, task.spec.verb, settings.data, settings)
        with given_back_if_refused(folder):
            learning = task.prepare(model, RunContext(settings, description, source, folder))
    draw = drawer(folder, description, source)
    return Plan(
        settings,
        source,
        folder,
        learning.loss,
        description,
        learning.samples,
        learning.measure,
        draw,
        learning.balanced,
        notes,
    )


__all__ = ["open_data", "prepare"]
