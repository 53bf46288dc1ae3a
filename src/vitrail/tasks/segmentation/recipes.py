"""Recipes for semantic segmentation."""

from __future__ import annotations

from vitrail.config import JointAugment, Optim, Schedule
from vitrail.settings.models import BackboneArchitecture
from vitrail.tasks.segmentation.settings import SegmentationHead, SegmentationOptions, SegmentSettings

# The published recipes count steps on ADE20K, whose training split has 20,210 images.
ADE20K_IMAGES = 20_210


def _published(
    model: str, head: SegmentationHead, width: int, batch_size: int, lr: float, optim: Optim, drop_path: float = 0.0
) -> SegmentSettings:
    """Return what the published recipes share.

    160,000 steps with a rate that falls linearly, the first 1,500 of them warm-up; images whose shorter side is
    scaled to 512 times 0.5 to 2, crops of 512; an auxiliary loss at weight 0.4.
    """
    epoch = ADE20K_IMAGES / batch_size
    return SegmentSettings(
        data="",
        model=model,
        epochs=160_000 / epoch,
        batch_size=batch_size,
        lr=lr,
        image_size=512,
        smoothing=0.0,
        architecture=BackboneArchitecture(drop_path=drop_path),
        augment=JointAugment(flip=0.5, color_jitter=0.4),
        dense=SegmentationOptions(
            head, width=width, norm="batch", jitter="crop", jitter_scale=(0.5, 2.0), short_side=512
        ),
        optim=optim,
        schedule=Schedule(kind="linear", warmup_epochs=1_500 / epoch),
    )


# Swin's appendix A2.3 and its code for ADE20K.
_SWIN = Optim(weight_decay=0.01, clip=0.0)
# MMSegmentation's re-run of MAE's segmentation (configs/mae/mae-base_upernet_8xb2-amp-160k_ade20k-512x512).
_MAE = Optim(weight_decay=0.05, layer_decay=0.65, clip=0.0)
# MMSegmentation's re-run of SETR (configs/setr/setr_vit-l_pup_8xb2-160k_ade20k-512x512). There the head learns at ten
# times this rate, which is not possible here, and the rate falls by a power of 0.9 instead of linearly.
_SETR = Optim(kind="sgd", momentum=0.9, weight_decay=0.0, clip=0.0)

SEGMENTATION_RECIPES: dict[str, SegmentSettings] = {
    # A few hundred images on a small machine: docs/papers/dense.md.
    "segment_small": SegmentSettings(
        data="",
        epochs=40,
        batch_size=8,
        lr=1e-3,
        smoothing=0.0,
        architecture=BackboneArchitecture(drop_path=0.1),
        augment=JointAugment(flip=0.5, color_jitter=0.3),
        dense=SegmentationOptions(width=64, norm="group", jitter="crop", jitter_scale=(0.5, 1.5)),
        optim=Optim(layer_decay=0.85),
        schedule=Schedule(warmup_epochs=2),
    ),
    "upernet_swin_t": _published("swin_t", "upernet", 512, 16, 6e-5, _SWIN, 0.3),
    "upernet_swin_s": _published("swin_s", "upernet", 512, 16, 6e-5, _SWIN, 0.3),
    "upernet_swin_b": _published("swin_b", "upernet", 512, 16, 6e-5, _SWIN, 0.3),
    "upernet_mae_b": _published("vit_b16", "upernet", 768, 16, 1e-4, _MAE, 0.1),
    "setr_naive_l": _published("vit_l16", "setr_naive", 256, 16, 1e-3, _SETR),
    "setr_pup_l": _published("vit_l16", "setr_pup", 256, 16, 1e-3, _SETR),
    "setr_mla_l": _published("vit_l16", "setr_mla", 256, 16, 1e-3, _SETR),
}
