"""Masked autoencoding, as a task."""

from __future__ import annotations

from typing import Any

from torch import nn

from vitrail.data.sources import Images, training_images
from vitrail.errors import ConfigError
from vitrail.settings import LookSettings
from vitrail.tasks.attention import attention_options
from vitrail.tasks.inputs import Extra, inputs_of
from vitrail.tasks.mae.figures import check_masks, draw_reconstructions
from vitrail.tasks.mae.loss import Reconstruction
from vitrail.tasks.mae.mask_file import read_mask
from vitrail.tasks.mae.settings import MAESettings
from vitrail.tasks.mae.spec import MAE
from vitrail.tasks.mae.targets import prepare_target, tokenizer_named
from vitrail.tasks.masks import MaskDrawer
from vitrail.tasks.objective import Objective
from vitrail.tasks.task import RunContext
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description


class MAETask(Objective):
    """Filling in hidden patches."""

    spec = MAE

    def target(self, settings: MAESettings) -> dict[str, Any]:
        """Return what is predicted; by default pixels normalised by each patch's own mean and deviation."""
        if settings.target == "normalized" and not settings.normalize_target:
            raise ConfigError("--target normalized and --no-normalize-target contradict; give one of them")
        if settings.target == "auto":
            return {"target": "normalized" if settings.normalize_target else "pixels"}
        if settings.target == "tokens" and settings.tokenizer != "kmeans":
            return {"target": "tokens", "vocabulary": tokenizer_named(settings.tokenizer).vocabulary}
        return {"target": settings.target}

    def loss(self, model: Any, run: RunContext) -> tuple[nn.Module, Extra]:
        """Fit the target first, where it has to be; and read the user's own mask."""
        settings, config, preprocessing = run.settings, model.config, run.description.preprocessing
        prepare_target(model, settings, preprocessing, training_images(run.source), run.folder)
        mask = read_mask(settings.mask, model.encoder) if settings.mask else None
        drawer = MaskDrawer(model.patch_size, config.mask_ratio, config.masking, mask)
        return Reconstruction(model, preprocessing), drawer

    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw what the model fills in."""
        inputs = inputs_of(images, description)
        return draw_reconstructions(model, description, inputs.images, inputs.captions, settings)

    def look_options(self, model: Any) -> tuple[str, tuple[str, ...]]:
        """Masks have a kind, a ratio and a seed, or are given."""
        return self.spec.noun, ("mask_ratio", "masking", "mask", "seeds", *attention_options(model)[1])

    def check_look(self, model: Any, description: Description, settings: LookSettings) -> None:
        """Refuse options of masks, too, that another one leaves without effect."""
        super().check_look(model, description, settings)
        check_masks(model, description, settings)
