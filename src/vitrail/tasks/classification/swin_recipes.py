"""Recipes for Swin: those the paper's authors published, and one for a few thousand images.

Rates are given for 512 images, as the authors do. Their settings name a colour jitter of 0.4 too, which has no effect
beside RandAugment.
"""

from __future__ import annotations

from vitrail.config import Optim, Schedule, replace
from vitrail.settings.models import Architecture
from vitrail.tasks.classification.recipes import PUBLISHED_AUGMENT, SUPERVISED_RECIPES
from vitrail.tasks.classification.settings import ClassifySettings

BATCH = 1024


def _from_scratch(
    model: str, drop_path: float, epochs: int = 300, warmup: int = 20, lr_at_512: float = 5e-4, batch: int = BATCH
) -> ClassifySettings:
    """ImageNet-1k (Swin, section 4.1), or 22k with other numbers; the rate ends at a hundredth."""
    return ClassifySettings(
        data="",
        model=model,
        epochs=epochs,
        batch_size=batch,
        lr=lr_at_512 * batch / 512,
        image_size=224,
        architecture=Architecture(drop_path=drop_path),
        augment=PUBLISHED_AUGMENT,
        optim=Optim(weight_decay=0.05, clip=5.0),
        schedule=Schedule(warmup_epochs=warmup, min_factor=0.01),
    )


def _finetuning(model: str, image_size: int, window: int, drop_path: float) -> ClassifySettings:
    """Fine-tuning on ImageNet-1k, at a larger size or after 22k (section 4.1 and the repository's settings)."""
    return ClassifySettings(
        data="",
        model=model,
        epochs=30,
        batch_size=BATCH,
        lr=2e-5 * BATCH / 512,
        image_size=image_size,
        architecture=Architecture(window=window, drop_path=drop_path),
        augment=PUBLISHED_AUGMENT,
        optim=Optim(weight_decay=1e-8, clip=5.0),
        schedule=Schedule(warmup_epochs=5, min_factor=0.01),
    )


SWIN_RECIPES: dict[str, ClassifySettings] = {
    # A few thousand images on a small machine (docs/papers/swin.md).
    "swin_scratch": replace(SUPERVISED_RECIPES["scratch"], model="swin_t"),
    # From an encoder pretrained here: `finetune_small` without the pooling, which only a ViT has a choice of.
    "swin_finetune_small": replace(SUPERVISED_RECIPES["finetune_small"], architecture={"pool": None}),
    "swin_t_imagenet": _from_scratch("swin_t", 0.2),
    "swin_s_imagenet": _from_scratch("swin_s", 0.3),
    "swin_b_imagenet": _from_scratch("swin_b", 0.5),
    "swin_b_imagenet22k": _from_scratch("swin_b", 0.2, epochs=90, warmup=5, lr_at_512=1.25e-4, batch=4096),
    "swin_l_imagenet22k": _from_scratch("swin_l", 0.2, epochs=90, warmup=5, lr_at_512=1.25e-4, batch=4096),
    "swin_b_384": _finetuning("swin_b_384", 384, 12, 0.5),
    "swin_b_22k_to_1k": _finetuning("swin_b", 224, 7, 0.2),
    "swin_l_22k_to_1k": _finetuning("swin_l", 224, 7, 0.2),
    "swin_b_384_22k_to_1k": _finetuning("swin_b_384", 384, 12, 0.2),
    "swin_l_384_22k_to_1k": _finetuning("swin_l_384", 384, 12, 0.2),
    # After SimMIM (Xie et al. 2022, section 4.1, and the repository's settings): rate 5e-3 for a batch of 2048,
    # windows of 7 at 224 pixels.
    "simmim_finetune": ClassifySettings(
        data="",
        model="swin_b",
        epochs=100,
        batch_size=2048,
        lr=1.25e-3 * 2048 / 512,
        image_size=224,
        architecture=Architecture(window=7, drop_path=0.1),
        augment=PUBLISHED_AUGMENT,
        optim=Optim(weight_decay=0.05, layer_decay=0.9, clip=5.0),
        schedule=Schedule(warmup_epochs=20, min_factor=2.5e-7 / 1.25e-3),
    ),
}
