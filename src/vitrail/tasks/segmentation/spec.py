"""Segmentation, as it is known before any of its work is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitrail.tasks.segmentation.recipes import SEGMENTATION_RECIPES
from vitrail.tasks.segmentation.settings import SegmentEvaluateSettings, SegmentPredictSettings, SegmentSettings
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


def _load() -> Task:
    from vitrail.tasks.segmentation.task import SegmentationTask

    return SegmentationTask()


SEGMENT = Spec(
    "segment",
    "train",
    "a segmenter",
    SegmentSettings,
    SEGMENTATION_RECIPES,
    lambda weights: "segment_small",
    _load,
    (SegmentEvaluateSettings, SegmentPredictSettings),
)
