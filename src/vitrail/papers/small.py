"""The settings that all tables begin with: a narrow model that learns from a few thousand small images."""

from __future__ import annotations

from typing import Any

from vitrail.config import Augment, Loader, Optim, Run, Schedule, replace
from vitrail.settings import Architecture, PaperSettings, PretrainSettings
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.registry import find_spec

# 64 tokens of 64 pixels a side; wide enough to learn, narrow enough for one processor core.
NARROW = Architecture(patch_size=8, width=96, depth=4, num_heads=3)
IMAGE_SIZE = 64

# Digits are 8x8 grey images with strokes: smaller patches, and nothing may be mirrored or cropped away.
DIGITS = Architecture(patch_size=4, width=64, depth=4, num_heads=4)
DIGITS_SIZE = 32


def training(settings: PaperSettings, epochs: float, **changes: Any) -> ClassifySettings:
    """Return the settings of a classifier from scratch at the scale that is asked for.

    Args:
        settings: what the user said; what was not said is chosen for small images.
        epochs: passes over the training images where the user says nothing.
        **changes: fields of `ClassifySettings` that the table itself decides on.
    """
    return replace(_common(ClassifySettings(data=settings.data), settings, epochs), **changes)


def pretraining(settings: PaperSettings, epochs: float, objective: str = "mae", **changes: Any) -> PretrainSettings:
    """Return the settings of a pretraining at the scale that is asked for; arguments as for `training`."""
    return replace(_common(find_spec(objective).settings(data=settings.data), settings, epochs), **changes)


def _common(base: Any, settings: PaperSettings, epochs: float) -> Any:
    epochs = settings.epochs or epochs
    digits = settings.data == "digits"
    narrow = settings.model is None
    strokes = Augment(crop_scale=(0.6, 1.0), flip=0.0)
    return replace(
        base,
        model=settings.model or "vit_ti16",
        epochs=epochs,
        batch_size=64,
        lr=1e-3,
        image_size=settings.image_size or (DIGITS_SIZE if digits else IMAGE_SIZE if narrow else None),
        channels=1 if digits else 3,
        architecture=(DIGITS if digits else NARROW) if narrow else Architecture(),
        augment=strokes if digits else Augment(crop_scale=(0.35, 1.0)),
        loader=Loader(workers=settings.workers),
        optim=Optim(weight_decay=0.05),
        schedule=Schedule(warmup_epochs=min(5.0, epochs / 10)),
        run=Run(evaluate_every=max(1.0, epochs / 10), save_every=max(1.0, epochs / 4), device=settings.device),
    )
