"""``vitrail train``: a classifier from labelled pictures."""

from __future__ import annotations

from typing import Any

import torch

from vitrail.config import replace, to_json
from vitrail.data.sources import Source, open_source
from vitrail.errors import ConfigError, DataError
from vitrail.models.classifier import freeze
from vitrail.recipes import find_recipe
from vitrail.settings import TrainSettings
from vitrail.tasks.classification import Classification
from vitrail.training import distributed
from vitrail.verbs.carry_out import Plan, Result, carry_out, training_pictures
from vitrail.verbs.finish import finish
from vitrail.verbs.folder import open_folder
from vitrail.verbs.say import say
from vitrail.verbs.start import choose_start
from vitrail.weights.checkpoint import Description
from vitrail.weights.create import create_model
from vitrail.weights.load import load_weights


def train(data: str, *, recipe: str = "auto", **settings: Any) -> Result:
    """Train a classifier on labelled pictures.

    Args:
        data: a folder per class (with or without splits), a CSV of file and label, or "digits".
        recipe: the settings to begin with; "auto" takes finetune with ``weights``, scratch without.
        **settings: any field of `vitrail.settings.TrainSettings`; nested ones as dicts
            (``optim={"weight_decay": 0.1}``).

    Returns:
        The run folder and the metrics of the best evaluation.

    Raises:
        VitrailError: data, settings or weights cannot be used; nothing was trained.
        Interrupted: asked to stop; the same call goes on.
    """
    base = find_recipe(TrainSettings, recipe, settings.get("weights"))
    return run(replace(base, data=data, recipe=recipe, **settings))


@distributed.processes()
def run(settings: TrainSettings) -> Result:
    """Train as the settings say; `train` explains."""
    source = _open(settings)
    start = choose_start(
        settings.model,
        settings.weights,
        settings.architecture,
        training_pictures(source),
        settings.image_size,
        settings.channels,
    )
    torch.manual_seed(settings.run.seed)
    model: Any = create_model(start.model.name, num_classes=len(source.class_names), **start.model.options)
    for note in (*source.notes, *start.notes):
        say(note)
    if settings.weights is not None:
        # Other channels are asked for by saying so; classes are those of the data.
        report = load_weights(model, settings.weights, adapt=("classes", "channels"))
        say(f"{settings.weights}: {report}")
    if settings.freeze:
        say(_freeze(model, settings.freeze))
    folder = open_folder(settings.out, "train", settings.data, settings)
    task = Classification(model, start.preprocessing, settings.smoothing, settings.augment)
    options = {**start.model.options, "num_classes": len(source.class_names)}
    description = Description(
        replace(start.model, options=options), start.preprocessing, source.class_names, to_json(settings)
    )
    result = carry_out(Plan(settings, source, folder, task, description))
    finish(result, "Fine-tuning" if settings.weights else "Training", source)
    return result


def _freeze(model: Any, layers: int) -> str:
    most = model.depth + 1
    if not 0 <= layers <= most:
        raise ConfigError(f"freeze takes 0 to {most} of this model's layers, not {layers}; the head must learn")
    return f"frozen: the lowest {layers} of {most + 1} layers ({len(freeze(model, layers))} tensors)"


def _open(settings: TrainSettings) -> Source:
    source = open_source(settings.data, seed=settings.run.seed, validation_share=settings.validation_share, labels=True)
    if len(source.class_names) < 2:
        raise DataError(f"{settings.data} has {len(source.class_names)} classes; a classifier needs two or more")
    if settings.labels == 1.0:
        return source
    share_or_count = int(settings.labels) if settings.labels > 1 else settings.labels
    return source.labelled_subset(share_or_count, settings.run.seed)
