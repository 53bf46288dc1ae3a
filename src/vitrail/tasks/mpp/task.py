"""Masked patch prediction, as a task."""

from __future__ import annotations

from typing import Any

from torch import nn

from vitrail.data.sources import Images, training_images
from vitrail.settings import LookSettings
from vitrail.tasks.attention import attention_figures, attention_options
from vitrail.tasks.inputs import Extra, eval_samples, inputs_of
from vitrail.tasks.mpp.loss import CorruptionDrawer, PatchPrediction, majority_colour
from vitrail.tasks.mpp.settings import MPPSettings
from vitrail.tasks.mpp.spec import MPP
from vitrail.tasks.objective import Objective
from vitrail.tasks.task import RunContext
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description

COUNTED = 256
"""About so many training images are looked at to find the most frequent colour."""


class MPPTask(Objective):
    """Telling the colours of corrupted patches."""

    spec = MPP

    def target(self, settings: MPPSettings) -> dict[str, Any]:
        """Return what is predicted; by default each patch's mean colour."""
        return {"target": "color" if settings.target == "auto" else settings.target}

    def loss(self, model: Any, run: RunContext) -> tuple[nn.Module, Extra]:
        """Count colours first: a baseline of the task is to guess the most frequent one."""
        preprocessing, images = run.description.preprocessing, training_images(run.source)
        counted = images.subset(range(0, len(images), max(1, len(images) // COUNTED)))
        samples = eval_samples(counted, preprocessing)
        decoded = (samples.undamaged((0, number))[0]["image"] for number in range(len(samples)))
        loss = PatchPrediction(model, preprocessing, majority_colour(model, decoded))
        return loss, CorruptionDrawer(model.patch_size, model.config.mask_ratio)

    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw where the encoder looks."""
        inputs = inputs_of(images, description)
        return attention_figures(model, inputs.images, inputs.captions, description.preprocessing, settings)

    def look_options(self, model: Any) -> tuple[str, tuple[str, ...]]:
        """Return those of the encoder's attention."""
        return attention_options(model)
