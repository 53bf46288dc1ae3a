"""Recipes for SimMIM: predicting the pixels of hidden squares."""

from __future__ import annotations

from vitrail.config import ImageAugment, Optim, Schedule
from vitrail.settings.models import BackboneArchitecture
from vitrail.tasks.simmim.settings import SimMIMSettings

SIMMIM_RECIPES: dict[str, SimMIMSettings] = {
    # A few thousand images on a small machine (docs/papers/swin.md).
    "simmim_small": SimMIMSettings(
        data="",
        model="swin_t",
        mask_ratio=0.6,
        epochs=100,
        batch_size=64,
        lr=1e-3,
        augment=ImageAugment(crop_scale=(0.35, 1.0)),
        optim=Optim(weight_decay=0.05, clip=1.0),
        schedule=Schedule(warmup_epochs=5),
    ),
    # Xie et al. 2022, section 4.1: rate 8e-4 for a batch of 2048 (2e-4 for each 512 in the repository's settings, which
    # also say where the rate ends), 10 of 100 epochs warm-up, crops of 0.67 to 1, windows of 6 at 192 pixels.
    "simmim_published": SimMIMSettings(
        data="",
        model="swin_b",
        mask_ratio=0.6,
        mask_unit=32,
        epochs=100,
        batch_size=2048,
        lr=2e-4 * 2048 / 512,
        image_size=192,
        architecture=BackboneArchitecture(window=6),
        augment=ImageAugment(crop_scale=(0.67, 1.0)),
        optim=Optim(weight_decay=0.05, clip=5.0),
        schedule=Schedule(warmup_epochs=10, min_factor=1e-5 / 2e-4),
    ),
}
