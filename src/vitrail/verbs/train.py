"""``vitrail train``: a classifier, detector or segmenter from labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.config import make, replace
from vitrail.data.samples import Samples
from vitrail.data.sources import Pictures, Source
from vitrail.errors import ConfigError
from vitrail.meaning import check_meant
from vitrail.models.classifier import freeze
from vitrail.output import say
from vitrail.seeding import seeded
from vitrail.settings import TrainSettings
from vitrail.tasks.recipes import find_recipe
from vitrail.training import distributed
from vitrail.verbs.carry_out import Plan, Result, carry_out, training_pictures
from vitrail.verbs.finish import drawer, finish
from vitrail.verbs.folder import default_folder, open_folder
from vitrail.verbs.held_out import check_share
from vitrail.verbs.kinds import kind_of
from vitrail.verbs.meant import check_training
from vitrail.verbs.place import check_place
from vitrail.verbs.split import run_split, with_images
from vitrail.verbs.start import choose_start
from vitrail.verbs.tune import Tuning
from vitrail.weights.checkpoint import build_described


def train(data: str | Path, *, recipe: str = "auto", **settings: Any) -> Result:
    """Train a classifier, a detector or a segmenter on labelled pictures.

    Args:
        data: to classify a folder per class (with or without splits), a CSV of file and label, or "digits"; to
            detect a folder with COCO's annotations, to segment one of pictures and masks, or for both "scenes".
        recipe: the settings to begin with; "auto" takes finetune with ``weights``, scratch without.
        **settings: any field of `vitrail.settings.TrainSettings`; nested ones as dicts
            (``optim={"weight_decay": 0.1}``).

    Returns:
        The run folder and the metrics of the best evaluation.

    Raises:
        VitrailError: data, settings or weights cannot be used; nothing was trained.
        Interrupted: asked to stop; the same call goes on.
    """
    asked = make(TrainSettings, data=data, recipe=recipe, **settings)
    base = find_recipe(TrainSettings, asked.recipe, asked.weights, task=asked.task)
    asked_for = replace(base, data=data, recipe=recipe, **settings)
    check_meant(asked_for, base)
    return run(asked_for)


@distributed.processes()
def run(settings: TrainSettings) -> Result:
    """Train as the settings say; `train` explains."""
    check_training(settings)
    check_place(settings.out, default_folder("train", settings.data), [settings.data])
    source = run_split(settings)
    check_share(settings, source)
    result = learn(settings, source)
    finish(result, "Fine-tuning" if settings.weights else "Training", source)
    return result


def learn(settings: TrainSettings, source: Source) -> Result:
    """Train on an open source, and leave it at that: no pictures, no report."""
    plan = prepare(settings, source)
    return carry_out(plan) if settings.tune_blocks is None else Tuning.of(plan).carry_out()


def prepare(settings: TrainSettings, source: Source) -> Plan:
    """Build what is to be trained on an open source, with the weights it starts from and its run folder."""
    kind = kind_of(settings.task)
    start = choose_start(
        settings.model,
        settings.weights,
        settings.architecture,
        training_pictures(source),
        settings.image_size,
        settings.channels,
    )
    description = with_images(kind.describe(settings, start, source), source)
    with seeded(settings.run.seed):
        model: Any = build_described(description)
        for note in (*source.notes, *start.notes):
            say(note)
        if settings.weights is not None:
            say(f"{settings.weights}: {kind.load(model, settings.weights)}")
        if settings.freeze:
            say(_freeze(model, settings.freeze))
        task = kind.task(settings, model, description)
    measure = kind.measure(source.validation, description)
    folder = open_folder(settings.out, "train", settings.data, settings)

    def samples(pictures: Pictures, training: bool) -> Samples:
        return kind.samples(settings, pictures, description, training)

    draw = drawer(folder, description, source)
    return Plan(settings, source, folder, task, description, samples=samples, measure=measure, draw=draw)


def _freeze(model: Any, layers: int) -> str:
    most = model.depth + 1
    if not 0 <= layers <= most:
        raise ConfigError(f"freeze takes 0 to {most} of this model's layers, not {layers}; the head must learn")
    return f"frozen: the lowest {layers} of {most + 1} layers ({len(freeze(model, layers))} tensors)"
