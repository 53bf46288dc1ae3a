"""Recipes for masked autoencoding."""

from __future__ import annotations

from vitrail.config import Augment, Optim, Schedule
from vitrail.settings import PretrainSettings

_OPTIM = Optim(betas=(0.9, 0.95), weight_decay=0.05, clip=0.0)

MAE_RECIPES: dict[str, PretrainSettings] = {
    # A few thousand pictures on a small machine: a lighter decoder, a rate that does not need a large batch.
    "mae_small": PretrainSettings(
        data="",
        epochs=100,
        batch_size=64,
        lr=1e-3,
        decoder_width=256,
        decoder_depth=2,
        augment=Augment(crop_scale=(0.3, 1.0)),
        optim=Optim(betas=(0.9, 0.95), weight_decay=0.05, clip=1.0),
        schedule=Schedule(warmup_epochs=5),
    ),
    # He et al. 2022, appendix A.1: lr 1.5e-4 x batch / 256, 40 of 800 epochs warm-up, crops of 0.2 to 1.
    "mae_published": PretrainSettings(
        data="",
        model="vit_b16",
        epochs=800,
        batch_size=4096,
        lr=1.5e-4 * 4096 / 256,
        image_size=224,
        augment=Augment(crop_scale=(0.2, 1.0)),
        optim=_OPTIM,
        schedule=Schedule(warmup_epochs=40),
    ),
}
