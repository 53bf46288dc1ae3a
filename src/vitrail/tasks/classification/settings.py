"""Settings for training a classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from vitrail.config import Augment, Loader
from vitrail.meaning import OF_MIXING, OF_TRAINING, OF_WHOLE_IMAGES, Rule
from vitrail.ranges import COUNT, LABELS, PART, PROBABILITY, Range
from vitrail.settings.commands import EvaluateSettings, PredictSettings
from vitrail.settings.inputs import InputOptions
from vitrail.settings.models import Architecture
from vitrail.settings.training import TrainSettings


@dataclass(frozen=True)
class ClassifyEvaluateSettings(EvaluateSettings, InputOptions):
    """Measure a classifier on labelled images."""

    RANGES: ClassVar[dict[str, Range]] = {"batch_size": COUNT, "max_error": PART, "coverage": PART}

    batch_size: int = 128
    """Images in a forward pass."""
    compare: str | None = None
    """Another model, set beside on the same images: which is right more often, and can these images tell?"""
    max_error: float | None = None
    """Share of answers that may be wrong where the model may be unsure (predict --abstain); kept with the model."""
    coverage: float | None = None
    """How often sets of classes are to hold the right one (predict --abstain); kept with the model."""
    recalibrate: bool = False
    """Learn when the model can be believed anew from the validation images of DATA, whatever is kept with it."""


@dataclass(frozen=True)
class ClassifyPredictSettings(PredictSettings, InputOptions):
    """Name the classes of images."""

    RANGES: ClassVar[dict[str, Range]] = {
        "top": COUNT,
        "batch_size": COUNT,
        "max_error": PART,
        "coverage": PART,
    }
    RULES: ClassVar[tuple[Rule, ...]] = (
        *PredictSettings.RULES,
        Rule(("max_error", "coverage"), lambda s: not s.abstain, "is for --abstain; give that too"),
    )

    top: int = 3
    """How many classes to name for each image."""
    abstain: bool = False
    """Answer "unsure" where answers would too often be wrong, with the set of classes it may be, calibrated
    probabilities, and whether the image is unlike the training ones."""
    max_error: float | None = None
    """With abstain: share of the answers that may be wrong; by default the one stored with the model, 0.05."""
    coverage: float | None = None
    """With abstain: how often the sets hold the right class; by default the one stored with the model, 0.95."""
    format: Literal["table", "json", "csv"] = "table"
    """json: one object a line; csv: one row an image."""
    out: str | None = None
    """The folder for predictions.csv or, with JSON, predictions.json; by default nothing is written."""
    batch_size: int = 32
    """Images in a forward pass."""


OF_LEARNING = (
    *("epochs", "lr", "lr_for_batch", "batch_size", "optim", "schedule", "augment", "smoothing", "freeze"),
    *(
        "tune_blocks",
        "loader.views",
        "architecture.drop_path",
        "architecture.dropout",
        "architecture.attention_dropout",
    ),
    *("architecture.head_init", "architecture.representation", "run.patience", "run.micro_batch"),
)
"""Settings without a meaning where nothing learns step by step."""


@dataclass(frozen=True)
class ClassifySettings(TrainSettings, InputOptions):
    """Train a classifier, from scratch or from given weights."""

    FIRST: ClassVar[tuple[str, ...]] = (*TrainSettings.FIRST, "labels", "architecture.patch_size", "augment.mixup")
    RANGES: ClassVar[dict[str, Range]] = {
        "labels": LABELS,
        "smoothing": PROBABILITY,
        "tune_blocks": Range(0, 1_000),
    }
    RULES: ClassVar[tuple[Rule, ...]] = (
        *OF_TRAINING,
        *OF_WHOLE_IMAGES,
        *OF_MIXING,
        Rule(
            OF_LEARNING,
            lambda s: s.fit_head,
            "is for learning step by step, and --fit-head (or --recipe probe) fits the head at once; leave one out",
        ),
        Rule(("cache_features",), lambda s: s.tune_blocks is None, "goes with --tune-blocks; give that too"),
        Rule(
            ("freeze",),
            lambda s: s.tune_blocks is not None and s.freeze > 0,
            "and --tune-blocks exclude each other: tuning the last blocks freezes all below them; give one",
        ),
    )

    labels: float = 1.0
    """Use this share of the training labels (at most 1), or this many images (above 1)."""
    smoothing: float = 0.1
    """Label smoothing."""
    tune_blocks: float | None = None
    """Only the last so many blocks of a ViT and the head learn: 0.5 is the MLP of the last one, 0 the head alone."""
    fit_head: bool = False
    """Compute what an encoder makes of the images once, and fit the head alone to it by logistic regression."""
    cache_features: Literal["auto", "on", "off"] = "auto"
    """With tune_blocks: compute what the other blocks make of each image once, and keep it on disk."""
    architecture: Architecture = field(default_factory=Architecture)
    augment: Augment = field(default_factory=Augment)
    loader: Loader = field(default_factory=Loader)
