"""Recipes for detection and instance segmentation."""

from __future__ import annotations

from vitrail.config import JointAugment, Optim, Schedule
from vitrail.settings.models import BackboneArchitecture
from vitrail.tasks.detection.settings import DetectionHead, DetectionOptions, DetectSettings

# Images of 800 pixels, the longer side at most 1333; multi-scale training draws the shorter one from 480 to 800.
LONGEST = 1333 / 800
MULTISCALE = (480 / 800, 1.0)


def _swin(model: str, epochs: int, drop_path: float, head: DetectionHead = "mask_rcnn") -> DetectSettings:
    """Fine-tune a Swin as published (Liu et al. 2021, section 4.2 and the official code for COCO).

    AdamW at 1e-4 for batches of 16. The published rate falls to a tenth at two fixed epochs; here it falls along a
    cosine, the one schedule of vitrail's that ends as low.
    """
    return DetectSettings(
        data="",
        model=model,
        epochs=epochs,
        batch_size=16,
        lr=1e-4,
        image_size=800,
        architecture=BackboneArchitecture(drop_path=drop_path),
        augment=JointAugment(flip=0.5),
        dense=DetectionOptions(head, jitter="multiscale", jitter_scale=MULTISCALE, longest=LONGEST),
        optim=Optim(weight_decay=0.05, clip=0.0),
        schedule=Schedule(warmup_epochs=0.07),
    )


def _vitdet(model: str, layer_decay: float, drop_path: float) -> DetectSettings:
    """Fine-tune a plain ViT as published (Li et al. 2022, ViTDet, appendix), with large-scale jitter at 1024 pixels."""
    return DetectSettings(
        data="",
        model=model,
        epochs=100,
        batch_size=64,
        lr=1e-4,
        image_size=1024,
        architecture=BackboneArchitecture(drop_path=drop_path),
        augment=JointAugment(flip=0.5),
        dense=DetectionOptions(
            pyramid="simple",
            norm="group",
            box_head="conv",
            windows=14,
            jitter="large",
            jitter_scale=(0.1, 2.0),
            longest=1,
        ),
        optim=Optim(weight_decay=0.1, layer_decay=layer_decay, clip=0.0),
        schedule=Schedule(warmup_epochs=0.14),
    )


DETECTION_RECIPES: dict[str, DetectSettings] = {
    # A few hundred images on a small machine: docs/papers/dense.md.
    "detect_small": DetectSettings(
        data="",
        epochs=40,
        batch_size=8,
        lr=3e-4,
        augment=JointAugment(flip=0.5),
        dense=DetectionOptions(
            width=128, hidden=256, norm="group", proposals=300, regions=128, jitter_scale=(0.8, 1.25)
        ),
        optim=Optim(layer_decay=0.85, clip=5.0),
        schedule=Schedule(warmup_epochs=1),
    ),
    "mask_rcnn_swin_t_1x": _swin("swin_t", 12, 0.1),
    "mask_rcnn_swin_t_3x": _swin("swin_t", 36, 0.2),
    "mask_rcnn_swin_s_3x": _swin("swin_s", 36, 0.2),
    "cascade_swin_t_3x": _swin("swin_t", 36, 0.2, "cascade_mask_rcnn"),
    "vitdet_b": _vitdet("vit_b16", 0.7, 0.1),
    "vitdet_l": _vitdet("vit_l16", 0.8, 0.4),
}
