"""Classification, as it is known before any of its work is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitrail.tasks.classification.recipes import SUPERVISED_RECIPES
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings, ClassifyPredictSettings, ClassifySettings
from vitrail.tasks.classification.swin_recipes import SWIN_RECIPES
from vitrail.tasks.origin import pretrained_here
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


def _load() -> Task:
    from vitrail.tasks.classification.task import ClassificationTask

    return ClassificationTask()


def _auto(weights: str | None) -> str:
    """Return the name of the recipe for training a classifier from these weights, or from none."""
    if weights is None:
        return "scratch"
    encoder = pretrained_here(weights)
    if encoder is None:
        return "finetune"
    return "swin_finetune_small" if "swin" in encoder else "finetune_small"


CLASSIFY = Spec(
    "classify",
    "train",
    "a classifier",
    ClassifySettings,
    SUPERVISED_RECIPES | SWIN_RECIPES,
    _auto,
    _load,
    (ClassifyEvaluateSettings, ClassifyPredictSettings),
)
