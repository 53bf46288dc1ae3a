"""Masked autoencoding, as it is known before any of its work is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitrail.tasks.mae.recipes import MAE_RECIPES
from vitrail.tasks.mae.settings import MAESettings
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


def _load() -> Task:
    from vitrail.tasks.mae.task import MAETask

    return MAETask()


MAE = Spec("mae", "pretrain", "a masked autoencoder", MAESettings, MAE_RECIPES, lambda weights: "mae_small", _load)
