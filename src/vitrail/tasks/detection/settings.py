"""Settings for training a detector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from vitrail.meaning import NO_JITTER, OF_TRAINING, Rule
from vitrail.ranges import CHANNELS, COUNT, SHARE, Range
from vitrail.settings.commands import EvaluateSettings, PredictSettings
from vitrail.settings.training import TrainSettings

DetectionHead = Literal["auto", "mask_rcnn", "faster_rcnn", "cascade_mask_rcnn", "detr"]


@dataclass(frozen=True)
class DetectionOptions:
    """What finds objects in an image, above the backbone, and how images are scaled for it."""

    RANGES: ClassVar[dict[str, Range]] = {
        "width": CHANNELS,
        "hidden": CHANNELS,
        "anchor_size": Range(0, 1_024, above=True),
        "proposals": Range(1, 100_000),
        "regions": Range(1, 100_000),
        "samples": Range(1, 16),
        "queries": Range(1, 100_000),
        "layers": Range(1, 100),
        "windows": Range(0, 1_024),
        "jitter_scale": Range(0, 100, above=True, rising=True),
        "longest": Range(1, 100),
    }

    head: DetectionHead = "auto"
    """mask_rcnn (auto), faster_rcnn, cascade_mask_rcnn or detr."""
    pyramid: Literal["auto", "fpn", "simple", "blocks"] = "auto"
    """fpn: over a backbone's stages; of a ViT, simple (ViTDet): from its last map; blocks (MAE): from four blocks."""
    width: int = 256
    """Channels of every map above the backbone."""
    hidden: int = 1024
    """Width of the hidden layers that classify a region, or of the MLPs in a DETR."""
    norm: Literal["none", "group"] = "none"
    """Group norm after the convolutions of pyramid and heads."""
    box_head: Literal["mlp", "conv"] = "mlp"
    """What classifies a region: two hidden layers; or four convolutions and one hidden layer, as in ViTDet."""
    anchor_size: float = 8.0
    """Side of an anchor in strides of its map: 8 makes 32 pixels of the finest."""
    proposals: int = 1000
    """Most regions that are looked at closely; twice as many while training."""
    regions: int = 512
    """Regions of an image from which its classes and boxes are learned."""
    samples: int = 2
    """Points a side at which each cell of a region is read off the map; 1 is the fastest."""
    queries: int = 100
    """Most objects that a DETR finds."""
    layers: int = 6
    """Of a DETR's encoder, and of its decoder."""
    windows: int = 0
    """Attention of a ViT within windows of so many tokens, but for four blocks; 0 is global everywhere."""
    jitter: Literal["none", "multiscale", "large", "crop"] = "multiscale"
    """none: one size; multiscale: sizes by jitter_scale; large: cut or padded to a square; crop: cut to image_size."""
    jitter_scale: tuple[float, float] = (0.8, 1.25)
    """Smallest and largest factor of the size of a training image."""
    longest: float = 5 / 3
    """The longer side is at most so many times image_size; the shorter one then is smaller than that."""


@dataclass(frozen=True)
class DetectEvaluateSettings(EvaluateSettings):
    """Measure a detector on images whose objects are known."""

    RANGES: ClassVar[dict[str, Range]] = {"batch_size": COUNT}

    batch_size: int = 128
    """Images that are loaded at once; each is looked at alone."""


@dataclass(frozen=True)
class DetectPredictSettings(PredictSettings):
    """Find the objects in images, and draw them."""

    RANGES: ClassVar[dict[str, Range]] = {"threshold": SHARE}

    threshold: float = 0.5
    """Score below which an object is left out."""


@dataclass(frozen=True)
class DetectSettings(TrainSettings):
    """Train a detector, from scratch or from given weights."""

    FIRST: ClassVar[tuple[str, ...]] = (*TrainSettings.FIRST, "dense.head", "dense.width", "dense.jitter")
    RULES: ClassVar[tuple[Rule, ...]] = (
        *OF_TRAINING,
        Rule(
            tuple(f"dense.{name}" for name in ("box_head", "anchor_size", "proposals", "regions", "samples", "norm")),
            lambda s: s.dense.head == "detr",
            "has no part in the head detr; leave it out",
        ),
        Rule(("dense.queries", "dense.layers"), lambda s: s.dense.head != "detr", "is for --dense.head detr"),
        NO_JITTER,
    )

    task: str = "detect"
    """classify: name the class of an image; detect: find each object in it; segment: name the class of every pixel."""
    dense: DetectionOptions = field(default_factory=DetectionOptions)
