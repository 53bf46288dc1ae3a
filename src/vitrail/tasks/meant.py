"""Which options mean something to a task: one that does not is refused in a sentence, never passed over.

A value that is the default, or the recipe's, was not asked for and may stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vitrail.data.scenes import is_scenes
from vitrail.errors import ConfigError
from vitrail.settings import Dense, EvaluateSettings, PredictSettings, Scoring, TrainSettings
from vitrail.tasks.recipes import find_recipe

WHAT = {"classify": "a classifier", "detect": "a detector", "segment": "a segmenter"}

OF_WHOLE_IMAGES = {
    "loader.balanced": "draws the classes of whole images equally often",
    "architecture.representation": "stands before the head of a classifier",
    "architecture.head_init": "is for the head of a classifier",
    **dict.fromkeys(
        ("augment.rand_augment", "augment.erasing", "augment.mixup", "augment.cutmix"), "is for classes of whole images"
    ),
    **dict.fromkeys(
        ("augment.rand_augment_ops", "augment.mix_probability", "augment.mix_switch"),
        "belongs to augmentations of whole images",
    ),
    **dict.fromkeys(
        ("augment.crop", "augment.crop_scale", "augment.crop_ratio"),
        "is for whole images; --dense.jitter and --dense.jitter-scale say how others are cut",
    ),
}
"""Options that only a classifier takes."""

OF_SEGMENTERS = ("short_side", "ignore", "classes", "auxiliary", "dropout")
OF_DETECTORS = (
    "pyramid", "box_head", "anchor_size", "proposals", "regions", "samples", "queries", "layers", "windows", "hidden",
    "longest",
)  # fmt: skip
"""Fields of `vitrail.settings.Dense` that one task alone takes."""

OF_REGIONS = ("box_head", "anchor_size", "proposals", "regions", "samples", "norm")
NOT_OF_HEAD = {
    "detr": OF_REGIONS,
    **dict.fromkeys(("mask_rcnn", "auto", "faster_rcnn", "cascade_mask_rcnn"), ("queries", "layers")),
    "linear": ("width", "norm", "auxiliary"),
}
"""Fields that a head of the right task has no use for."""


def check_training(settings: TrainSettings) -> None:
    """Check that every option of a training means something to its task.

    Raises:
        ConfigError: one does not.
    """
    plain = TrainSettings(data="")
    recipe = find_recipe(TrainSettings, settings.recipe, settings.weights, task=settings.task)
    for name, why in _meaningless(settings):
        value = _value(settings, name)
        if value not in (_value(plain, name), _value(recipe, name)):
            raise ConfigError(f"{_option(name)} means nothing to {WHAT[settings.task]}: it {why}; leave it out")


def check_evaluation(settings: EvaluateSettings, task: str) -> None:
    """Check that every option of an evaluation means something to the checkpoint's task.

    Raises:
        ConfigError: one does not.
    """
    if task != "segment":
        _check_scoring(settings.scoring, task)
    elif settings.batch_size != EvaluateSettings.batch_size:
        raise ConfigError("--batch-size means nothing to a segmenter, which scores images one by one; leave it out")


def check_prediction(settings: PredictSettings, task: str) -> None:
    """Check that every option of a prediction means something to the checkpoint's task.

    Raises:
        ConfigError: one does not.
    """
    if task == "detect":
        _check_scoring(settings.scoring, task)
    refused = {
        "classify": {},  # `vitrail.tasks.classification.predictions` says more of these.
        "detect": {"top": "names all it finds above --threshold", "batch_size": "looks at images one by one"},
        "segment": {"threshold": "gives every pixel its best class", "batch_size": "scores images one by one"},
    }
    for name, why in refused[task].items():
        if getattr(settings, name) != getattr(PredictSettings, name):
            raise ConfigError(f"{_option(name)} means nothing to {WHAT[task]}, which {why}; leave it out")


def _meaningless(settings: TrainSettings) -> Iterator[tuple[str, str]]:
    """Yield the options that mean nothing to a task and its head, with what they are for."""
    if settings.tune_blocks is None:
        yield "cache_features", "works with --tune-blocks"
    if settings.task == "classify":
        yield from ((f"dense.{name}", "is to detect or to segment") for name in vars(Dense()))
        return
    yield "tune_blocks", "is for a classifier; use --freeze"
    yield from OF_WHOLE_IMAGES.items()
    if settings.task == "detect":
        yield "smoothing", "is for classes of images or pixels"
    others = OF_SEGMENTERS if settings.task == "detect" else OF_DETECTORS
    yield from ((f"dense.{name}", f"is to {'segment' if settings.task == 'detect' else 'detect'}") for name in others)
    head = settings.dense.head
    yield from ((f"dense.{name}", f"has no part in the head {head}") for name in NOT_OF_HEAD.get(head, ()))
    if settings.dense.jitter == "none":
        yield "dense.jitter_scale", "has no effect with --dense.jitter none"
    if settings.task == "segment" and is_scenes(settings.data):
        yield "dense.ignore", "is for masks in files; drawn scenes have no void"
        yield "dense.classes", "is for masks in files; drawn scenes know their classes"


def _check_scoring(scoring: Scoring, task: str) -> None:
    if scoring != Scoring():
        raise ConfigError(f"--scoring is for a segmenter; {WHAT[task]} looks at each image once, as a whole")


def _value(settings: Any, name: str) -> Any:
    """Return a setting by its name, ``augment.crop`` being that of a part."""
    for part in name.split("."):
        settings = getattr(settings, part)
    return list(settings) if isinstance(settings, tuple) else settings


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


__all__ = ["check_evaluation", "check_prediction", "check_training"]
