"""Recipes for training with labels."""

from __future__ import annotations

from vitrail.config import Augment, Optim, Schedule, replace
from vitrail.settings.models import Architecture
from vitrail.tasks.classification.settings import ClassifySettings

PUBLISHED_AUGMENT = Augment(crop_scale=(0.08, 1.0), rand_augment=9, erasing=0.25, mixup=0.8, cutmix=1.0)
"""What the classifiers of MAE, Swin and SimMIM were published with."""


def _mae_finetune(lr_at_256: float, layer_decay: float, drop_path: float, epochs: int, model: str) -> ClassifySettings:
    """Fine-tune a pretrained MAE as published (He et al. 2022, appendix A.1; the official FINETUNE notes)."""
    return ClassifySettings(
        data="",
        model=model,
        epochs=epochs,
        batch_size=1024,
        lr=lr_at_256 * 1024 / 256,
        image_size=224,
        architecture=Architecture(pool="mean", drop_path=drop_path),
        augment=PUBLISHED_AUGMENT,
        optim=Optim(weight_decay=0.05, layer_decay=layer_decay, clip=0.0),
        schedule=Schedule(warmup_epochs=5, min_factor=1e-6 / (lr_at_256 * 1024 / 256)),
    )


# From an encoder pretrained here, on a few thousand images: mean pooling and a higher rate (docs/papers/mae.md).
_FINETUNE_SMALL = ClassifySettings(
    data="",
    epochs=30,
    batch_size=64,
    lr=2e-3,
    architecture=Architecture(pool="mean", drop_path=0.1),
    optim=Optim(layer_decay=0.75),
    schedule=Schedule(warmup_epochs=3),
)

SUPERVISED_RECIPES: dict[str, ClassifySettings] = {
    # Measured on a few thousand images: docs/log.md.
    "scratch": ClassifySettings(
        data="",
        epochs=60,
        batch_size=64,
        lr=1e-3,
        architecture=Architecture(drop_path=0.1),
        augment=Augment(crop_scale=(0.35, 1.0), rand_augment=5, mixup=0.2, cutmix=0.5),
        schedule=Schedule(warmup_epochs=5),
    ),
    "finetune": ClassifySettings(
        data="",
        epochs=5,
        batch_size=64,
        lr=5e-4,
        architecture=Architecture(drop_path=0.1),
        optim=Optim(layer_decay=0.75),
    ),
    # A head on frozen features; the run's one step only writes it down (`vitrail.runs.fit_head`). Whole images: on
    # clothing 84.2 % right in cross-validation, against 83.1 % of their centres and 81.6 % squashed.
    "probe": ClassifySettings(
        data="",
        fit_head=True,
        epochs=1e-3,
        lr=1e-12,
        batch_size=64,
        smoothing=0.0,
        augment=Augment(crop="none", flip=0.0),
        crop_fraction=1.0,
    ),
    "finetune_small": _FINETUNE_SMALL,
    # The same with patience, best with few labels: half the rate, mixed images, many passes (docs/papers/mae.md).
    "finetune_small_long": replace(
        _FINETUNE_SMALL, epochs=200, lr=1e-3, augment={"mixup": 0.2, "cutmix": 0.5}, schedule={"warmup_epochs": 5}
    ),
    "mae_finetune_b": _mae_finetune(5e-4, 0.65, 0.1, 100, "vit_b16"),
    "mae_finetune_l": _mae_finetune(1e-3, 0.75, 0.2, 50, "vit_l16"),
    "mae_finetune_h": _mae_finetune(1e-3, 0.75, 0.3, 50, "vit_h14"),
}
