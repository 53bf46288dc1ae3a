"""Partial fine-tuning: only the last blocks learn, from features of the others that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.config import Augment
from vitrail.data.features import EvalFeatureBatches, FeatureBatches, Features, room_for
from vitrail.data.sources import Images, training_images
from vitrail.errors import ConfigError
from vitrail.heads.partial_fine_tuning import PartialFineTuning
from vitrail.output import say
from vitrail.runs.extract_features import Extraction, features_folder
from vitrail.runs.run_folder import given_back
from vitrail.runs.run_training import Plan, Result, run_training, train_batches
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.classification.tuning import TunedBlocks
from vitrail.training import distributed
from vitrail.training.measure import measure
from vitrail.training.runtime import Runtime

EVALUATION_AUGMENT = Augment(crop="none", flip=0.0)
"""Images as an evaluation sees them, the same in every epoch."""


@dataclass(frozen=True)
class Tuning:
    """A plan of which only what is above a cut learns.

    Attributes:
        plan: what is trained.
        cut: where the model is cut.
        folder: where features are kept.
    """

    plan: Plan
    cut: PartialFineTuning
    folder: Path

    @classmethod
    def of(cls, plan: Plan, folder: Path | None = None) -> Tuning:
        """Return the tuning of a plan whose task is `TunedBlocks`.

        Features are kept beside the run that the plan's weights are of, unless a folder is given.

        Raises:
            ConfigError: it is another task.
        """
        assert isinstance(plan.settings, ClassifySettings)
        if not isinstance(plan.task, TunedBlocks):
            raise ConfigError(f"tune_blocks works for task classify; to {plan.settings.task} use freeze")
        return cls(plan, plan.task.cut, folder or features_folder(plan.settings.weights, plan.folder))

    def run_training(self) -> Result:
        """Train, from features where they can be kept.

        Raises:
            ConfigError: they are asked for and cannot be kept.
        """
        with given_back(self.plan.folder):
            return self._run_training()

    def _run_training(self) -> Result:
        reason = self._why_not()
        wanted = self._settings.cache_features
        if reason and wanted == "on":
            raise ConfigError(f"features cannot be kept: {reason}")
        say(f"only the last {self.cut.blocks:g} of {self.cut.vit.depth} blocks and the head learn")
        if reason or wanted == "off":
            say(f"every epoch computes the other blocks anew{f': {reason}' if reason and wanted == 'auto' else ''}")
            return run_training(self.plan)
        say(f"what the others make of the images is kept in {self.folder}")
        return run_training(self.plan, self._batches(), self.evaluator(self.plan.source.validation, "validation"))

    def evaluator(self, images: Images | None, split: str) -> Callable[[Any], dict[str, float]] | None:
        """Return what measures the task on kept features of images, or None where there are none."""
        if images is None or not len(images):
            return None
        features = self._extraction().features(images, f"{self._settings.data} {split}")
        size, rank, world = self._settings.batch_size, distributed.rank(), distributed.world()
        batches = EvalFeatureBatches(images, features, size, rank, world)
        return lambda task: measure(task, batches)

    @property
    def _settings(self) -> ClassifySettings:
        assert isinstance(self.plan.settings, ClassifySettings)
        return self.plan.settings

    def _batches(self) -> FeatureBatches:
        settings, images = self._settings, training_images(self.plan.source)
        fixed = is_deterministic(settings.augment)
        features: Features = self._extraction().features(
            images,
            f"{settings.data} train",
            augment=None if fixed else settings.augment,
            views=1 if fixed else settings.loader.views,
            seed=settings.run.seed,
        )
        return FeatureBatches(train_batches(self.plan), features)

    def _extraction(self) -> Extraction:
        settings, cut = self._settings, self.cut
        return Extraction(
            what=cut.name,
            model=cut.model,
            weights=cut.below(),
            extract=cut.frozen,
            preprocessing=self.plan.description.preprocessing,
            folder=self.folder,
            runtime=Runtime.of(settings.run),
            workers=settings.loader.workers,
        )

    def _why_not(self) -> str:
        """Say why features cannot be kept, as half a sentence; "" when they can."""
        settings = self._settings
        if settings.augment.mixup or settings.augment.cutmix:
            return "mixup and cutmix need images (--augment.mixup 0 --augment.cutmix 0)"
        fixed = is_deterministic(settings.augment)
        if not (fixed or settings.loader.views):
            return (
                "every epoch shows other views of the images (--loader.views 4 for four fixed ones, or "
                "--augment.crop none --augment.flip 0 for the images as they are)"
            )
        images = len(training_images(self.plan.source)) + len(self.plan.source.validation or ())
        numbers = (1 if fixed else settings.loader.views) * images * self.cut.numbers
        if not room_for(self.folder, numbers):
            return f"{numbers * 4 / 2**30:.1f} GiB of them would fill the disk of {self.folder}"
        return ""


def is_deterministic(augment: Augment) -> bool:
    """Tell whether an image looks the same whenever it is shown."""
    random = (augment.flip, augment.color_jitter, augment.rand_augment, augment.erasing)
    return augment.crop == "none" and not any(random)
