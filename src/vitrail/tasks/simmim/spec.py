"""SimMIM, as it is known before any of its work is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitrail.tasks.simmim.recipes import SIMMIM_RECIPES
from vitrail.tasks.simmim.settings import SimMIMSettings
from vitrail.tasks.spec import Spec

if TYPE_CHECKING:
    from vitrail.tasks.task import Task


def _load() -> Task:
    from vitrail.tasks.simmim.task import SimMIMTask

    return SimMIMTask()


SIMMIM = Spec("simmim", "pretrain", "a SimMIM", SimMIMSettings, SIMMIM_RECIPES, lambda weights: "simmim_small", _load)
