"""Settings for training a segmenter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from vitrail.meaning import NO_JITTER, OF_TRAINING, Rule
from vitrail.ranges import CHANNELS, COUNT, PROBABILITY, SIDE, Range
from vitrail.settings.commands import EvaluateSettings, PredictSettings
from vitrail.settings.models import Scoring
from vitrail.settings.training import TrainSettings

SegmentationHead = Literal["auto", "upernet", "setr_naive", "setr_pup", "setr_mla", "linear"]


@dataclass(frozen=True)
class SegmentationOptions:
    """What names the class of every pixel, above the backbone, and how images and masks are scaled for it."""

    RANGES: ClassVar[dict[str, Range]] = {
        "width": CHANNELS,
        "jitter_scale": Range(0, 100, above=True, rising=True),
        "short_side": SIDE,
        "ignore": Range(0, 65_535),
        "auxiliary": Range(0, 100),
        "dropout": PROBABILITY,
    }

    head: SegmentationHead = "auto"
    """upernet (auto), setr_naive, setr_pup, setr_mla or linear."""
    width: int = 256
    """Channels of every map above the backbone."""
    norm: Literal["none", "group", "batch"] = "none"
    """group, or batch as published: the norm after the convolutions of the head."""
    jitter: Literal["crop", "none"] = "crop"
    """crop: scaled by jitter_scale and cut to image_size; none: cut only."""
    jitter_scale: tuple[float, float] = (0.8, 1.25)
    """Smallest and largest factor of the size of a training image."""
    short_side: int | None = None
    """What an image's shorter side is scaled to before all else; None leaves images as they are."""
    ignore: int = 255
    """The value in the masks that means void; 255 always does."""
    classes: str | None = None
    """A text file with the name of one class a line; by default classes.txt in the data's folder."""
    auxiliary: float = 0.4
    """Weight of the loss of each auxiliary head; 0 for none."""
    dropout: float = 0.1
    """Probability that a channel is left out before the last, linear layer."""


@dataclass(frozen=True)
class SegmentEvaluateSettings(EvaluateSettings):
    """Measure a segmenter on images with masks, each scored alone."""

    scoring: Scoring = field(default_factory=Scoring)


@dataclass(frozen=True)
class SegmentPredictSettings(PredictSettings):
    """Name the class of every pixel of images, as masks and drawn over them."""

    RANGES: ClassVar[dict[str, Range]] = {"top": COUNT}

    top: int | None = None
    """How many classes to name for each image; by default all, and 3 in the table."""
    scoring: Scoring = field(default_factory=Scoring)


@dataclass(frozen=True)
class SegmentSettings(TrainSettings):
    """Train a segmenter, from scratch or from given weights."""

    FIRST: ClassVar[tuple[str, ...]] = (*TrainSettings.FIRST, "dense.head", "dense.width", "dense.ignore")
    RANGES: ClassVar[dict[str, Range]] = {"smoothing": PROBABILITY}
    RULES: ClassVar[tuple[Rule, ...]] = (
        *OF_TRAINING,
        Rule(
            ("dense.width", "dense.norm", "dense.auxiliary"),
            lambda s: s.dense.head == "linear",
            "has no part in the head linear; leave it out",
        ),
        NO_JITTER,
    )

    task: str = "segment"
    """classify: name the class of an image; detect: find each object in it; segment: name the class of every pixel."""
    smoothing: float = 0.1
    """Label smoothing."""
    dense: SegmentationOptions = field(default_factory=SegmentationOptions)
