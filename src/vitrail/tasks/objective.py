"""What tasks that learn without labels share: a model around an encoder, of which some part is hidden."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from vitrail.config import Preprocessing, to_json
from vitrail.console import percent
from vitrail.data.sources import Images, Source, open_source
from vitrail.errors import ConfigError
from vitrail.heads.registry import HEADS, check_encoder
from vitrail.heads.spec import ModelSpec
from vitrail.models.registry import BACKBONES
from vitrail.models.vit import ViTConfig
from vitrail.settings import LookSettings, PretrainSettings, peak_lr
from vitrail.tasks.attention import attention_figures
from vitrail.tasks.inputs import Extra, image_samples, inputs_of
from vitrail.tasks.inside import draw_all_inside, inspected
from vitrail.tasks.task import Learning, RunContext, Task
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description
from vitrail.weights.load import load_weights
from vitrail.weights.open_any import OpenedModel
from vitrail.weights.weights_file import WeightsFile


class Objective(Task):
    """A task of ``vitrail pretrain``."""

    @abstractmethod
    def loss(self, model: Any, run: RunContext) -> tuple[nn.Module, Extra]:
        """Return the loss around a model, and what draws for each image what is hidden of it."""

    def hides(self, settings: Any) -> str:
        """Say how much of an image the model does not see, as the end of a sentence."""
        return f", {percent(settings.mask_ratio)} of each image hidden"

    def learns(self, settings: Any, description: Description) -> str:
        """Say that nothing is learned of classes."""
        return f"none: {self.spec.name} learns without labels{self.hides(settings)}"

    def target(self, settings: Any) -> dict[str, Any]:
        """Return what the model's options say of its target.

        Raises:
            ConfigError: the objective has no such target.
        """
        return {}

    def open(self, settings: PretrainSettings) -> Source:
        """Open images; what labels they have are left aside."""
        return open_source(settings.data, validation_share=0.0, labels=False)

    def reopen(self, description: Description, data: str) -> Source:
        """Open images, with or without labels."""
        names = description.class_names
        return open_source(data, validation_share=0.0, labels=False, for_evaluation=True, known_classes=names)

    def describe(
        self, settings: PretrainSettings, backbone: ModelSpec, preprocessing: Preprocessing, source: Source
    ) -> Description:
        """Describe the model around the encoder; its own options are settings of the same name."""
        check_encoder(self.spec.name, backbone.backbone)
        _check_whole_patches(backbone, self.spec.name)
        objective = HEADS[self.spec.name]
        names = {field.name for field in dataclasses.fields(objective.options)}
        names &= {field.name for field in dataclasses.fields(settings)}
        own = {name: getattr(settings, name) for name in sorted(names)} | self.target(settings)
        encoder = objective.encoder_options | backbone.backbone_options
        model = ModelSpec(backbone.backbone, encoder, self.spec.name, own)
        return Description(model, preprocessing, settings=to_json(settings))

    def initialise(self, model: Any, settings: PretrainSettings, weights: WeightsFile | None) -> Iterator[str]:
        """Say what the rate comes to where it follows the batch, and load weights where they are asked for."""
        if settings.lr_for_batch:
            rule = f"{settings.lr:g} x {settings.batch_size} / {settings.lr_for_batch}"
            yield f"learning rate {peak_lr(settings):g}: {rule}"
        if weights is not None:
            yield f"{weights.source}: {load_weights(model, weights, adapt=('classes', 'channels'))}"

    def prepare(self, model: Any, run: RunContext) -> Learning:
        """Return the loss and, for every image, what is hidden of it."""
        loss, extra = self.loss(model, run)
        settings, preprocessing = run.settings, run.description.preprocessing
        return Learning(loss, lambda images, training: image_samples(images, training, settings, preprocessing, extra))

    def figures(
        self,
        model: Any,
        description: Description,
        images: Images,
        settings: LookSettings,
        others: Sequence[OpenedModel] = (),
    ) -> dict[str, Figure]:
        """Draw what the model fills in, where its encoder looks, and what is inside that."""
        drawn = self.draw(model, description, images, settings)
        inputs = inputs_of(images, description)
        looks = attention_figures(model, inputs.images, inputs.captions, description.preprocessing, settings)
        one = inspected(settings.checkpoint, model, description, images, inputs)
        return looks | drawn | draw_all_inside(one, images, settings, others)


def _check_whole_patches(encoder: ModelSpec, objective: str) -> None:
    """Refuse images that end in part of a patch: what lies beyond their edge would have to be predicted."""
    config = BACKBONES[encoder.backbone][1]
    if not isinstance(config, ViTConfig):
        return
    size, patch = encoder.backbone_options["image_size"], encoder.backbone_options.get("patch_size", config.patch_size)
    if any(side % patch for side in size):
        fitting = ["x".join(str(max(1, side // patch + up) * patch) for side in size) for up in (0, 1)]
        raise ConfigError(
            f"{objective} cannot cut {size[0]}x{size[1]} pixels into patches of {patch}; "
            f"choose {' or '.join(dict.fromkeys(fitting))} pixels "
            "(--image-size), or another --architecture.patch-size"
        )
