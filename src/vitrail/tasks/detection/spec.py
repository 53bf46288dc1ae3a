"""Detection, as it is known before any of its work is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitrail.tasks.detection.recipes import DETECTION_RECIPES
from vitrail.tasks.detection.settings import DetectEvaluateSettings, DetectPredictSettings, DetectSettings
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


def _load() -> Task:
    from vitrail.tasks.detection.task import DetectionTask

    return DetectionTask()


DETECT = Spec(
    "detect",
    "train",
    "a detector",
    DetectSettings,
    DETECTION_RECIPES,
    lambda weights: "detect_small",
    _load,
    (DetectEvaluateSettings, DetectPredictSettings),
)
