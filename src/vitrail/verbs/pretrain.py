"""``vitrail pretrain``: a masked autoencoder from pictures without labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from vitrail.config import replace, to_json
from vitrail.data.sources import open_source
from vitrail.errors import ConfigError, nearest
from vitrail.models.zoo import OBJECTIVES, ModelSpec, option_names
from vitrail.recipes import find_recipe
from vitrail.settings import PretrainSettings
from vitrail.tasks.reconstruction import MaskDrawer, Reconstruction
from vitrail.training import distributed
from vitrail.verbs.carry_out import Plan, Result, carry_out, training_pictures
from vitrail.verbs.finish import finish
from vitrail.verbs.folder import open_folder
from vitrail.verbs.say import say
from vitrail.verbs.start import choose_start
from vitrail.weights.checkpoint import Description
from vitrail.weights.create import create_model
from vitrail.weights.load import load_weights


def pretrain(data: str, *, recipe: str = "auto", **settings: Any) -> Result:
    """Pretrain a masked autoencoder on pictures without labels.

    Args:
        data: a folder of pictures (labels are ignored), a CSV, or "digits".
        recipe: the settings to begin with.
        **settings: any field of `vitrail.settings.PretrainSettings`; nested ones as dicts.

    Returns:
        The run folder and the metrics of the best evaluation.

    Raises:
        VitrailError: data, settings or weights cannot be used; nothing was trained.
        Interrupted: asked to stop; the same call goes on.
    """
    base = find_recipe(PretrainSettings, recipe, settings.get("weights"))
    return run(replace(base, data=data, recipe=recipe, **settings))


@distributed.processes()
def run(settings: PretrainSettings) -> Result:
    """Pretrain as the settings say; `pretrain` explains."""
    source = open_source(
        settings.data, seed=settings.run.seed, validation_share=settings.validation_share, labels=False
    )
    start = choose_start(
        settings.model,
        settings.weights,
        settings.architecture,
        training_pictures(source),
        settings.image_size,
        settings.channels,
    )
    spec = _masked(start.model, settings)
    torch.manual_seed(settings.run.seed)
    model: Any = create_model(spec.name, **spec.options)
    for note in (*source.notes, *start.notes):
        say(note)
    if settings.weights is not None:
        report = load_weights(model, settings.weights, adapt=("classes", "channels"))
        say(f"{settings.weights}: {report}")
    folder = open_folder(settings.out, "pretrain", settings.data, settings)
    plan = Plan(
        settings,
        source,
        folder,
        Reconstruction(model, start.preprocessing),
        Description(spec, start.preprocessing, settings=to_json(settings)),
        MaskDrawer(model.patch_size, settings.mask_ratio),
    )
    result = carry_out(plan)
    finish(result, "Pretraining", source)
    return result


def _masked(encoder: ModelSpec, settings: PretrainSettings) -> ModelSpec:
    """Return the self-supervised model around an encoder; its own options are settings of the same name."""
    objective = OBJECTIVES[settings.objective]
    if encoder.name not in objective.encoders:
        hint = nearest(encoder.name, objective.encoders)
        raise ConfigError(f"{settings.objective} cannot pretrain a {encoder.name}{hint}")
    names = option_names(objective.config) & {field.name for field in dataclasses.fields(settings)}
    own = {name: getattr(settings, name) for name in sorted(names)}
    return ModelSpec(f"{settings.objective}_{encoder.name}", {**encoder.options, **own})
