"""Every head and every objective by its name, and the one function that builds any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from vitrail.errors import ConfigError, nearest
from vitrail.heads import classifier, dense
from vitrail.heads.spec import ModelSpec
from vitrail.models import mae, mpp, simmim, swin, vit
from vitrail.models.backbone import Backbone
from vitrail.models.registry import BACKBONES, build_backbone
from vitrail.settings import Dense


@dataclass(frozen=True)
class Head:
    """What stands on a backbone, or goes around one to pretrain it.

    Attributes:
        task: what a model with it is trained for, a key of `vitrail.tasks.registry.TASKS`.
        build: makes the model of a backbone and the head's options.
        options: the dataclass of these options.
        encoders: of an objective the classes of backbones that it pretrains; a head stands on any backbone, or says
            itself what it needs.
        encoder_options: of an objective the options of its encoder that differ from what the encoder's name stands for.
    """

    task: str
    build: Callable[[Any, dict[str, Any]], nn.Module]
    options: type
    encoders: tuple[type, ...] = ()
    encoder_options: dict[str, Any] = field(default_factory=dict)

    @property
    def pretrains(self) -> bool:
        """Whether it is an objective, which learns without labels."""
        return bool(self.encoders)


def _dense(task: str, name: str, module: str) -> Head:
    return Head(task, dense.builder(name, f"vitrail.heads.{module}"), Dense)


# The first head of a task is what it takes where none is named.
HEADS: dict[str, Head] = {
    "classifier": Head("classify", classifier.build, classifier.ClassifierConfig),
    "mask_rcnn": _dense("detect", "mask_rcnn", "mask_rcnn"),
    "faster_rcnn": _dense("detect", "faster_rcnn", "mask_rcnn"),
    "cascade_mask_rcnn": _dense("detect", "cascade_mask_rcnn", "cascade"),
    "detr": _dense("detect", "detr", "detr"),
    **{
        name: _dense("segment", name, "segmenter")
        for name in ("upernet", "setr_naive", "setr_pup", "setr_mla", "linear")
    },
    "mae": Head("mae", mae.build, mae.MAEConfig, (vit.ViT,), {"positions": "sincos_2d"}),
    "mpp": Head("mpp", mpp.build, mpp.MPPConfig, (vit.ViT,)),
    "simmim": Head("simmim", simmim.build, simmim.SimMIMConfig, (swin.Swin, vit.ViT)),
}
BOX_HEADS = ("faster_rcnn", "detr")
"""The detection heads that find boxes and no masks."""


def find_head(name: str) -> Head:
    """Return a head or an objective.

    Raises:
        ConfigError: there is none of this name; the nearest right ones are given.
    """
    if name not in HEADS:
        raise ConfigError(f"there is no head {name[:60]!r}{nearest(name, HEADS)}")
    return HEADS[name]


def heads_of(task: str) -> list[str]:
    """Return the names of a task's heads, the usual one first."""
    return [name for name, head in HEADS.items() if head.task == task]


def head_for(task: str, head: str) -> str:
    """Return the name of the head that a task gets; "auto" is the task's first.

    Raises:
        ConfigError: the head is for another task.
    """
    heads = heads_of(task)
    if head == "auto":
        return heads[0]
    if head not in heads:
        raise ConfigError(f"the head {head} cannot {task}; take one of {', '.join(heads)}")
    return head


def with_dense_head(backbone: ModelSpec, task: str, settings: Any, num_classes: int) -> ModelSpec:
    """Put the head of a detector or segmenter that settings name on a backbone.

    Args:
        backbone: without a head.
        task: what the head is for.
        settings: the head's name and shape: a `Dense`, or the part of it that the task has; the head "auto" is the
            task's usual one.
        num_classes: K, without a background.

    Raises:
        ConfigError: the head is for another task.
    """
    head = head_for(task, settings.head)
    return replace(backbone, head=head, head_options=dense.dense_options(settings, num_classes))


def task_for(spec: ModelSpec) -> str:
    """Return the task that a model is for; a bare backbone is what classifiers start from.

    Raises:
        ConfigError: there is no such head.
    """
    return find_head(spec.head or "classifier").task


def encoders_of(objective: str) -> list[str]:
    """Return the names of the backbones that an objective pretrains."""
    kinds = find_head(objective).encoders
    return [name for kind in kinds for name, (build, _) in BACKBONES.items() if build is kind]


def name_of(spec: ModelSpec) -> str:
    """Return what users call a model: that of its backbone, or ``OBJECTIVE_BACKBONE`` of one that pretrains it."""
    return f"{spec.head}_{spec.backbone}" if spec.head and find_head(spec.head).pretrains else spec.backbone


def is_dense(spec: ModelSpec) -> bool:
    """Whether a model answers for every place of an image: a detector or a segmenter."""
    return spec.head is not None and find_head(spec.head).options is Dense


def title_of(spec: ModelSpec) -> str:
    """Return what users call a model, of a detector or segmenter with its head: ``swin_t with mask_rcnn``."""
    return f"{name_of(spec)} with {spec.head}" if is_dense(spec) else name_of(spec)


def build(spec: ModelSpec) -> nn.Module:
    """Build a model, with random weights.

    Returns:
        A backbone, or the model that its head makes of it: an `ImageClassifier`, a detector or segmenter with
        ``.backbone`` inside, or a `MAE`, `MPP` or `SimMIM` with ``.encoder``.

    Raises:
        ConfigError: there is no such backbone or head, or the options fit neither them nor each other.
    """
    try:
        backbone = build_backbone(spec.backbone, spec.backbone_options)
        if spec.head is None:
            return backbone
        if find_head(spec.head).pretrains:
            check_encoder(spec.head, spec.backbone)
        return put_head(backbone, spec.head, spec.head_options)
    except (ValueError, ZeroDivisionError, RuntimeError, OverflowError) as error:  # sizes that do not fit together
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(f"no {name_of(spec)} can be built with these options ({reason})") from error


def put_head(backbone: Backbone, head: str, options: Mapping[str, Any]) -> nn.Module:
    """Put a head on a backbone, or an objective around it.

    Args:
        backbone: stays as it is, and is part of what is returned.
        head: a key of `HEADS`.
        options: what the head is built with.

    Raises:
        ConfigError: there is no such head, or an option cannot work.
    """
    return find_head(head).build(backbone, dict(options))


def check_encoder(objective: str, backbone: str) -> None:
    """Refuse a backbone that an objective does not pretrain.

    Raises:
        ConfigError: it does not; the nearest ones that it does are given.
    """
    known = encoders_of(objective)
    if backbone not in known:
        raise ConfigError(f"{objective} cannot pretrain a {backbone}{nearest(backbone, known)}")
