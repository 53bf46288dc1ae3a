"""SimMIM, as a task."""

from __future__ import annotations

from typing import Any

from torch import nn

from vitrail.data.sources import Images
from vitrail.settings import LookSettings
from vitrail.tasks.attention import attention_options
from vitrail.tasks.inputs import Extra, inputs_of
from vitrail.tasks.masks import MaskDrawer
from vitrail.tasks.objective import Objective
from vitrail.tasks.simmim.figures import draw_reconstruction
from vitrail.tasks.simmim.loss import HiddenPixels
from vitrail.tasks.simmim.spec import SIMMIM
from vitrail.tasks.task import RunContext
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description


class SimMIMTask(Objective):
    """Predicting the pixels of hidden squares."""

    spec = SIMMIM

    def loss(self, model: Any, run: RunContext) -> tuple[nn.Module, Extra]:
        """Return the absolute error over hidden squares, and what draws these."""
        return HiddenPixels(model, run.description.preprocessing), MaskDrawer(model.mask_unit, model.config.mask_ratio)

    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw what the model fills in."""
        inputs = inputs_of(images, description)
        return draw_reconstruction(model, inputs.images, inputs.captions, description.preprocessing, settings)

    def look_options(self, model: Any) -> tuple[str, tuple[str, ...]]:
        """Masks have a ratio and a seed."""
        return self.spec.noun, ("mask_ratio", "seeds", *attention_options(model)[1])
