"""``vitrail pretrain``: an encoder from pictures without labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from vitrail.config import Preprocessing, make, replace, to_json
from vitrail.data.sources import Source
from vitrail.errors import ConfigError, nearest
from vitrail.meaning import check_meant
from vitrail.models.registry import BACKBONES, OBJECTIVES, ModelSpec, option_names
from vitrail.models.vit import ViTConfig
from vitrail.output import say
from vitrail.seeding import seeded
from vitrail.settings import PretrainSettings, peak_lr
from vitrail.tasks.mae.loss import MaskDrawer, Reconstruction
from vitrail.tasks.mpp.loss import CorruptionDrawer, PatchPrediction, majority_colour
from vitrail.tasks.recipes import find_recipe
from vitrail.tasks.simmim.loss import HiddenPixels
from vitrail.training import distributed
from vitrail.verbs.carry_out import Extra, Plan, Result, carry_out, eval_samples, training_pictures
from vitrail.verbs.finish import drawer, finish
from vitrail.verbs.folder import default_folder, given_back_if_refused, open_folder
from vitrail.verbs.held_out import check_share
from vitrail.verbs.masks import read_mask
from vitrail.verbs.place import check_place
from vitrail.verbs.split import run_split, with_images
from vitrail.verbs.start import choose_start
from vitrail.verbs.targets import prepare_target, tokenizer_named
from vitrail.weights.create import create_model
from vitrail.weights.description import Description
from vitrail.weights.load import load_weights

# What is said of one objective and means nothing to the others.
SAID_OF = {
    "mae": (
        *("masking", "mask", "mask_tokens_in", "decoder_width", "decoder_depth"),
        *("components", "vocabulary", "tokenizer", "target_from"),
    ),
    "simmim": ("mask_unit",),
}

COUNTED = 256
"""About so many training pictures are looked at to find the most frequent colour."""


def pretrain(data: str | Path, *, recipe: str = "auto", **settings: Any) -> Result:
    """Pretrain an encoder on pictures without labels.

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
    asked = make(PretrainSettings, data=data, recipe=recipe, **settings)
    base = find_recipe(PretrainSettings, asked.recipe, asked.weights, asked.objective)
    asked_for = replace(base, data=data, recipe=recipe, **settings)
    check_meant(asked_for, base)
    return run(asked_for)


@distributed.processes()
def run(settings: PretrainSettings) -> Result:
    """Pretrain as the settings say; `pretrain` explains."""
    check_place(settings.out, default_folder("pretrain", settings.data), [settings.data])
    source = run_split(settings)
    check_share(settings, source)
    return learn(settings, source)


@distributed.processes()
def learn(settings: PretrainSettings, source: Source) -> Result:
    """Pretrain on an open source, and draw and report the run."""
    result = carry_out(prepare(settings, source))
    finish(result, "Pretraining", source)
    return result


def prepare(settings: PretrainSettings, source: Source) -> Plan:
    """Build what is to be trained on an open source, with the weights it starts from and its run folder."""
    _check_meant(settings)
    start = choose_start(
        settings.model,
        settings.weights,
        settings.architecture,
        training_pictures(source),
        settings.image_size,
        settings.channels,
    )
    spec = _around(start.model, settings)
    with seeded(settings.run.seed):
        model: Any = create_model(spec.name, **spec.options)
        for note in (*source.notes, *start.notes, *_notes(settings)):
            say(note)
        if settings.weights is not None:
            report = load_weights(model, settings.weights, adapt=("classes", "channels"))
            say(f"{settings.weights}: {report}")
        folder = open_folder(settings.out, "pretrain", settings.data, settings)
        with given_back_if_refused(folder):
            task, extra = TASKS[settings.objective](model, Given(settings, start.preprocessing, source, folder))
    description = with_images(Description(spec, start.preprocessing, settings=to_json(settings)), source)
    return Plan(settings, source, folder, task, description, extra, draw=drawer(folder, description, source))


@dataclass(frozen=True)
class Given:
    """What a task is made of beside its model: what was asked for, the pictures, and where the run is."""

    settings: PretrainSettings
    preprocessing: Preprocessing
    source: Source
    folder: Path


def _reconstruction(model: Any, given: Given) -> tuple[nn.Module, Extra]:
    """Fit the target first, where it has to be; and read the user's own mask."""
    settings, config = given.settings, model.config
    prepare_target(model, settings, given.preprocessing, training_pictures(given.source), given.folder)
    mask = read_mask(settings.mask, model.encoder) if settings.mask else None
    drawer = MaskDrawer(model.patch_size, config.mask_ratio, config.masking, mask)
    return Reconstruction(model, given.preprocessing), drawer


def _patch_prediction(model: Any, given: Given) -> tuple[nn.Module, Extra]:
    """Count colours first: a yardstick of the task is to guess the most frequent one."""
    preprocessing, pictures = given.preprocessing, training_pictures(given.source)
    samples = eval_samples(pictures.subset(range(0, len(pictures), max(1, len(pictures) // COUNTED))), preprocessing)
    counted = (samples.undamaged((0, number))[0]["image"] for number in range(len(samples)))
    task = PatchPrediction(model, preprocessing, majority_colour(model, counted))
    return task, CorruptionDrawer(model.patch_size, model.config.mask_ratio)


def _hidden_pixels(model: Any, given: Given) -> tuple[nn.Module, Extra]:
    return HiddenPixels(model, given.preprocessing), MaskDrawer(model.mask_unit, model.config.mask_ratio)


# What is learned and measured with each objective, and what is drawn for each picture.
TASKS: dict[str, Callable[[Any, Given], tuple[nn.Module, Extra]]] = {
    "mae": _reconstruction,
    "mpp": _patch_prediction,
    "simmim": _hidden_pixels,
}


def _check_meant(settings: PretrainSettings) -> None:
    """Refuse what would be passed over in silence: settings of another objective, and what needs labels."""
    for objective, names in SAID_OF.items():
        for name in names if objective != settings.objective else ():
            if getattr(settings, name) != getattr(PretrainSettings, name):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} is a setting of {objective}; {settings.objective} has no use for it")
    if settings.augment.mixup or settings.augment.cutmix:
        raise ConfigError("mixup and cutmix mix labels, and pretraining has none; leave them at 0")


def _around(encoder: ModelSpec, settings: PretrainSettings) -> ModelSpec:
    """Return the self-supervised model around an encoder; its own options are settings of the same name."""
    objective = OBJECTIVES[settings.objective]
    if encoder.name not in objective.encoders:
        hint = nearest(encoder.name, objective.encoders)
        raise ConfigError(f"{settings.objective} cannot pretrain a {encoder.name}{hint}")
    names = option_names(objective.config) & {field.name for field in dataclasses.fields(settings)}
    own = {name: getattr(settings, name) for name in sorted(names)} | _target(settings)
    _check_whole_patches(encoder, settings.objective)
    return ModelSpec(f"{settings.objective}_{encoder.name}", {**encoder.options, **own})


def _target(settings: PretrainSettings) -> dict[str, Any]:
    """Return what an objective's options say of its target, where the settings leave it open."""
    if settings.objective == "simmim":
        if settings.target not in ("auto", "pixels"):
            raise ConfigError(f"simmim predicts pixels; there is no --target {settings.target} of it")
        return {}
    if settings.objective != "mae":
        return {"target": settings.target} if settings.target != "auto" else {"target": "color"}
    if settings.target == "normalized" and not settings.normalize_target:
        raise ConfigError("--target normalized and --no-normalize-target contradict; give one of them")
    if settings.target == "auto":
        return {"target": "normalized" if settings.normalize_target else "pixels"}
    if settings.target == "tokens" and settings.tokenizer != "kmeans":
        return {"target": "tokens", "vocabulary": tokenizer_named(settings.tokenizer).vocabulary}
    return {"target": settings.target}


def _check_whole_patches(encoder: ModelSpec, objective: str) -> None:
    """Refuse pictures that end in part of a patch: what lies beyond their edge would have to be predicted."""
    config = BACKBONES[encoder.name][1]
    if not isinstance(config, ViTConfig):
        return
    size, patch = encoder.options["image_size"], encoder.options.get("patch_size", config.patch_size)
    if any(side % patch for side in size):
        fitting = ["x".join(str(max(1, side // patch + up) * patch) for side in size) for up in (0, 1)]
        raise ConfigError(
            f"{objective} cannot cut {size[0]}x{size[1]} pixels into patches of {patch}; "
            f"choose {' or '.join(dict.fromkeys(fitting))} pixels "
            "(--image-size), or another --architecture.patch-size"
        )


def _notes(settings: PretrainSettings) -> list[str]:
    """Say what a rate that follows the batch comes to."""
    if not settings.lr_for_batch:
        return []
    rule = f"{settings.lr:g} x {settings.batch_size} / {settings.lr_for_batch}"
    return [f"learning rate {peak_lr(settings):g}: {rule}"]
