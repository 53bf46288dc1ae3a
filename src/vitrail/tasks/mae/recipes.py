"""Recipes for masked autoencoding, and the augmentations that the paper compares."""

from __future__ import annotations

from vitrail.config import ImageAugment, Optim, Schedule
from vitrail.tasks.mae.settings import MAESettings

# He et al. 2022, table 1e, by the names there; all but the first flip. The strength of the colour jitter is not stated:
# 0.4 is what most use.
MAE_AUGMENTS: dict[str, ImageAugment] = {
    "none": ImageAugment(crop="none", flip=0.0),
    "crop, fixed size": ImageAugment(crop="fixed"),
    "crop, rand size": ImageAugment(crop_scale=(0.2, 1.0)),
    "crop + color jit": ImageAugment(crop_scale=(0.2, 1.0), color_jitter=0.4),
}


def _published(model: str, epochs: int = 800) -> MAESettings:
    """Pretrain as published (He et al. 2022, appendix A.1): lr 1.5e-4 x batch / 256, 40 epochs of warm-up."""
    return MAESettings(
        data="",
        model=model,
        epochs=epochs,
        batch_size=4096,
        lr=1.5e-4,
        lr_for_batch=256,
        image_size=224,
        augment=MAE_AUGMENTS["crop, rand size"],
        optim=Optim(betas=(0.9, 0.95), weight_decay=0.05, clip=0.0),
        schedule=Schedule(warmup_epochs=40),
    )


MAE_RECIPES: dict[str, MAESettings] = {
    # A few thousand images on a small machine: a lighter decoder, a rate that does not need a large batch.
    "mae_small": MAESettings(
        data="",
        epochs=100,
        batch_size=64,
        lr=1e-3,
        decoder_width=256,
        decoder_depth=2,
        augment=ImageAugment(crop_scale=(0.3, 1.0)),
        optim=Optim(betas=(0.9, 0.95), weight_decay=0.05, clip=1.0),
        schedule=Schedule(warmup_epochs=5),
    ),
    "mae_published": _published("vit_b16"),
    "mae_published_l": _published("vit_l16"),
    "mae_published_h": _published("vit_h14"),
    # The weights that were published were trained for twice as long.
    "mae_published_1600": _published("vit_b16", epochs=1600),
}
