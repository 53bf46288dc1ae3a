"""Masked patch prediction, as it is known before any of its work is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitrail.tasks.mpp.recipes import MPP_RECIPES
from vitrail.tasks.mpp.settings import MPPSettings
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


def _load() -> Task:
    from vitrail.tasks.mpp.task import MPPTask

    return MPPTask()


MPP = Spec("mpp", "pretrain", "a masked patch predictor", MPPSettings, MPP_RECIPES, lambda weights: "mpp_small", _load)
