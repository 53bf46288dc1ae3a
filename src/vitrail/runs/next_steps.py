"""What to run next: command lines that can be pasted as they are, the most likely first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitrail.console import command
from vitrail.data.coco import is_coco
from vitrail.data.scenes import is_scenes
from vitrail.data.segment_folders import is_segments
from vitrail.data.sources import open_source
from vitrail.errors import DataError
from vitrail.output import say
from vitrail.paths import user_path
from vitrail.settings import EvaluateSettings, LookSettings, PredictSettings, ProbeSettings
from vitrail.settings.inputs import in_options
from vitrail.weights.description import Description

IMAGES = 4
"""Images that a command line repeats at most."""


def say_next(lines: Sequence[str]) -> None:
    """Print the first of some command lines, if there is one, without its comment."""
    if lines:
        say(f"next: {lines[0].partition('  # ')[0]}")


def after_training(folder: str | Path, description: Description) -> list[str]:
    """Return what makes sense after a run; what follows ``  # `` explains it."""
    data = description.settings.get("data") or "DATA"
    look = command("vitrail", "look", folder)
    if not description.class_names:
        return [*_fine_tuning(folder, description), f"{look}  # what it makes of held-out images"]
    return [
        f"{command('vitrail', 'evaluate', folder, data)}  # figures for every class",
        f"{command('vitrail', 'predict', folder, 'IMAGES')}  # what is in other images",
        f"{look}  # where it looks",
    ]


def after_evaluate(settings: EvaluateSettings, description: Description) -> list[str]:
    """Return what makes sense after figures: to see where the model looks, at its run's images or those measured."""
    path, options = user_path(settings.data), in_options(settings)
    if description.settings.get("data"):
        return [command("vitrail", "look", settings.checkpoint, *options)]
    seen = path if path.is_dir() else path.parent
    return [command("vitrail", "look", settings.checkpoint, seen, *options)] if path.exists() else []


def after_predict(settings: PredictSettings) -> list[str]:
    """Return what makes sense after predictions: to see where the model looked."""
    return [command("vitrail", "look", settings.checkpoint, *settings.images[:IMAGES], *in_options(settings))]


def after_look(settings: LookSettings, description: Description) -> list[str]:
    """Return what makes sense after a look: figures of a model that tells classes, else to fine-tune the encoder."""
    checkpoint = settings.checkpoint
    if not description.settings.get("data"):
        options = [*_channels(description), *in_options(settings)]
        return [command("vitrail", "train", "DATA", "--weights", checkpoint, *options)]
    return (
        after_training(checkpoint, description)[:1]
        if description.class_names
        else _fine_tuning(checkpoint, description)
    )


def after_probe(settings: ProbeSettings, channels: int) -> list[str]:
    """Return what makes sense after a probe: to fine-tune the encoder on the same images."""
    options = [*(["--channels", 1] if channels == 1 else []), *in_options(settings)]
    return [command("vitrail", "train", settings.data, "--weights", settings.weights, *options)]


def after_doctor(data: str, task: str | None, wrong: bool) -> list[str]:
    """Return what makes sense after a data set was checked: to train on it, or to check it again once mended.

    Args:
        data: the data set.
        task: of `vitrail train`; None of images without labels.
        wrong: something has to be mended.
    """
    if wrong:
        return [command("vitrail", "doctor", data)]
    if task is None:
        return [command("vitrail", "pretrain", data)]
    return [command("vitrail", "train", data, *([] if task == "classify" else ["--task", task]))]


def _fine_tuning(folder: str | Path, description: Description) -> list[str]:
    """Return how to fine-tune an encoder on the images it was pretrained on; nothing where these have no labels."""
    data = str(description.settings.get("data") or "")
    task = task_of(data)
    if task is None:
        return []
    options = [*([] if task == "classify" else ["--task", task]), *_channels(description)]
    return [f"{command('vitrail', 'train', data, '--weights', folder, *options)}  # fine-tune the encoder with labels"]


def task_of(data: str) -> str | None:
    """Return what `vitrail train` learns from a data set; None where it has no labels, or is not there any more."""
    if is_scenes(data) or (data and is_coco(user_path(data))):
        return "detect"
    if data and is_segments(data):
        return "segment"
    try:
        return "classify" if open_source(data).class_names else None
    except DataError:
        return None


def _channels(description: Description) -> list[Any]:
    return ["--channels", 1] if description.preprocessing.channels == 1 else []


__all__ = ["after_doctor", "after_evaluate", "after_look", "after_predict", "after_probe", "after_training", "say_next"]
