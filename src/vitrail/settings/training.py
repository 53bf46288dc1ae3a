"""Settings of every run that trains, whatever its task. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import tyro

from vitrail.config import ImageAugment, ImageLoader, JointAugment, Optim, Run, Schedule
from vitrail.meaning import OF_TRAINING, OF_WHOLE_IMAGES, Rule
from vitrail.ranges import COUNT, EPOCHS, MOST, PROBABILITY, RATE, SIDE, Range
from vitrail.settings.inputs import InputOptions, NormalizationOption
from vitrail.settings.models import BackboneArchitecture, Size


@dataclass(frozen=True)
class LearningSettings(NormalizationOption):
    """Settings of every run that learns, with labels or without; each task adds its own (`vitrail.tasks.registry`)."""

    RANGES: ClassVar[dict[str, Range]] = {
        "epochs": EPOCHS,
        "batch_size": COUNT,
        "lr": RATE,
        "lr_for_batch": Range(0, MOST),
        "image_size": SIDE,
        "validation_share": PROBABILITY,
    }
    RULES: ClassVar[tuple[Rule, ...]] = OF_TRAINING

    data: tyro.conf.Positional[str]
    """A folder of images, a CSV, or "digits" (embedded)."""
    model: str = "auto"
    """A name from `vitrail models`."""
    weights: str | None = None
    """Start from a run, a checkpoint, a weights file, or a model on the hub (hf:OWNER/NAME)."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    out: str | None = None
    """The run folder. A run that is there goes on where it was."""
    recipe: str = "auto"
    """A name from `vitrail models --recipes`."""
    epochs: float = 20
    """Passes over the training images."""
    batch_size: int = 64
    """Images per step over all processes."""
    lr: float = 1e-3
    """Peak learning rate."""
    lr_for_batch: int = 0
    """lr is meant for so many images a step and grows with batch_size, as papers state it; 0 takes lr as it is."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the images, at most 224."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    validation_share: float = 0.2
    """Share of the training images held out when the data has no split of its own."""
    architecture: BackboneArchitecture = field(default_factory=BackboneArchitecture)
    augment: JointAugment = field(default_factory=JointAugment)
    loader: ImageLoader = field(default_factory=ImageLoader)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class TrainSettings(LearningSettings):
    """Settings of every training from labels; each task adds its own (`vitrail.tasks.registry`)."""

    FIRST: ClassVar[tuple[str, ...]] = (
        *("data", "task", "model", "weights", "out", "recipe", "epochs", "batch_size", "lr", "image_size"),
        *("validation_share", "freeze", "loader.workers", "run.seed", "run.device"),
    )
    """What most people set, which help shows first."""
    RANGES: ClassVar[dict[str, Range]] = {"freeze": Range(0, 1_001)}

    data: tyro.conf.Positional[str]
    """A folder of images, a CSV of file and label, or embedded: "digits", and "scenes" to detect and segment."""
    task: str = "classify"
    """classify: name the class of an image; detect: find each object in it; segment: name the class of every pixel."""
    model: str = "auto"
    """A name from `vitrail models`; auto: the one the weights belong to, else vit_ti16."""
    out: str | None = None
    """The run folder; runs/train-NAME by default. A run that is there goes on where it was."""
    recipe: str = "auto"
    """A name from `vitrail models --recipes`; auto: finetune with weights, scratch without."""
    freeze: int = 0
    """Layers from below that do not learn: 1 is the embeddings, each further one a block; 0 freezes nothing."""


@dataclass(frozen=True)
class PretrainSettings(LearningSettings, InputOptions):
    """Settings of every pretraining without labels; each objective adds its own (`vitrail.tasks.registry`)."""

    FIRST: ClassVar[tuple[str, ...]] = (
        *("data", "objective", "model", "weights", "out", "recipe", "epochs", "batch_size", "lr", "image_size"),
        *("validation_share", "loader.workers", "run.seed", "run.device"),
    )
    """What most people set, which help shows first."""
    RULES: ClassVar[tuple[Rule, ...]] = (*OF_TRAINING, *OF_WHOLE_IMAGES)

    data: tyro.conf.Positional[str]
    """A folder of images (labels are ignored), a CSV, or "digits" (embedded)."""
    model: str = "vit_ti16"
    """The encoder: a name from `vitrail models`."""
    objective: str = "mae"
    """mae: fill in hidden patches; mpp: ViT's masked patch prediction; simmim: the pixels of hidden squares, also of a
    Swin."""
    out: str | None = None
    """The run folder; runs/pretrain-NAME by default. A run that is there goes on where it was."""
    epochs: float = 100
    """Passes over the training images."""
    batch_size: int = 128
    """Images per step over all processes."""
    validation_share: float = 0.1
    """Share of the training images held out when the data has no split of its own."""
    augment: ImageAugment = field(default_factory=ImageAugment)


def peak_lr(settings: LearningSettings) -> float:
    """Return the largest learning rate of a run: lr, or lr x batch_size / lr_for_batch (MAE, appendix A.1)."""
    return settings.lr * (settings.batch_size / settings.lr_for_batch if settings.lr_for_batch else 1.0)
