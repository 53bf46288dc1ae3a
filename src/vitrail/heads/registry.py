"""Every head by its name, and the one function that puts it on a backbone."""

from __future__ import annotations

import importlib

from torch import nn

from vitrail.errors import ConfigError
from vitrail.models.backbone import Backbone
from vitrail.settings import Dense

# The module of each head of `vitrail.settings.Dense`; its ``build(backbone, dense, num_classes)`` makes the model.
# They are imported when they are needed: torchvision's detection takes seconds.
DETECTION_HEADS: dict[str, str] = {
    "mask_rcnn": "vitrail.heads.mask_rcnn",
    "faster_rcnn": "vitrail.heads.mask_rcnn",
    "cascade_mask_rcnn": "vitrail.heads.cascade",
    "detr": "vitrail.heads.detr",
}
BOX_HEADS = ("faster_rcnn", "detr")
"""The detection heads that find boxes and no masks."""
SEGMENTATION_HEADS: dict[str, str] = dict.fromkeys(
    ("upernet", "setr_naive", "setr_pup", "setr_mla", "linear"), "vitrail.heads.segmenter"
)
HEADS = {"detect": DETECTION_HEADS, "segment": SEGMENTATION_HEADS}


def head_for(task: str, head: str) -> str:
    """Return the name of the head that a task gets; "auto" is the task's first.

    Raises:
        ConfigError: the head is for another task.
    """
    if head == "auto":
        return next(iter(HEADS[task]))
    if head not in HEADS[task]:
        raise ConfigError(f"the head {head} cannot {task}; take one of {', '.join(HEADS[task])}")
    return head


def put_head(backbone: Backbone, dense: Dense, num_classes: int) -> nn.Module:
    """Put the head that ``dense.head`` names on a backbone.

    Args:
        backbone: makes maps of images.
        dense: the head's name, no longer "auto", and its shape.
        num_classes: K, without a background.

    Raises:
        ConfigError: a setting cannot work.
    """
    check_shape(dense)
    modules = {**DETECTION_HEADS, **SEGMENTATION_HEADS}
    if dense.head not in modules:
        raise ConfigError(f"there is no head {dense.head}; take one of {', '.join(modules)}")
    module = importlib.import_module(modules[dense.head])
    return module.build(backbone, dense, num_classes)


def check_shape(dense: Dense) -> None:
    """Check the numbers that every head is made of.

    Raises:
        ConfigError: one of them cannot work.
    """
    for name in ("width", "hidden", "proposals", "regions", "samples", "queries", "layers"):
        if getattr(dense, name) < 1:
            raise ConfigError(f"--dense.{name} must be 1 or more, not {getattr(dense, name)}")
    for name in ("windows", "auxiliary"):
        if getattr(dense, name) < 0:
            raise ConfigError(f"--dense.{name} must be 0 or more, not {getattr(dense, name)}")
    if dense.anchor_size <= 0:
        raise ConfigError(f"--dense.anchor-size must be above 0, not {dense.anchor_size:g}")
    if not 0 <= dense.dropout < 1:
        raise ConfigError(f"--dense.dropout must be at least 0 and below 1, not {dense.dropout:g}")
