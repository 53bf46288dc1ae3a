"""Recipes for masked patch prediction."""

from __future__ import annotations

from vitrail.config import ImageAugment, Optim, Schedule
from vitrail.tasks.mpp.settings import MPPSettings

MPP_RECIPES: dict[str, MPPSettings] = {
    # A few thousand images on a small machine.
    "mpp_small": MPPSettings(
        data="",
        mask_ratio=0.5,
        epochs=100,
        batch_size=64,
        lr=1e-3,
        augment=ImageAugment(crop_scale=(0.3, 1.0)),
        optim=Optim(weight_decay=0.05, clip=1.0),
        schedule=Schedule(warmup_epochs=5),
    ),
    # ViT, appendix B.1.2: Adam, rate 2e-4, batch 4096, some 14 epochs of JFT (one million steps), the first 10,000
    # of them warm-up. Weight decay is that of the paper's other pretraining (table 3).
    "mpp_published": MPPSettings(
        data="",
        model="vit_b16",
        mask_ratio=0.5,
        epochs=14,
        batch_size=4096,
        lr=2e-4,
        image_size=224,
        optim=Optim(weight_decay=0.1, clip=1.0),
        schedule=Schedule(warmup_epochs=0.14),
    ),
}
