"""What a checkpoint of vitrail's says about itself, in the ``config.json`` beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.config import Preprocessing, from_json, to_json
from vitrail.errors import VitrailError, WeightsError
from vitrail.heads.registry import HEADS
from vitrail.models.registry import OBJECTIVES, ModelSpec
from vitrail.training.checkpoint import CONFIG, is_checkpoint, resolve
from vitrail.weights.named import find_model
from vitrail.weights.plausible import check_preprocessing, read_config
from vitrail.weights.sidecars import inside


@dataclass(frozen=True)
class Description:
    """What a checkpoint says about itself, in ``config.json``.

    Attributes:
        model: name and options, enough to build it again.
        preprocessing: how an image becomes its input.
        class_names: of a classifier, in the order of its outputs.
        settings: of the run that made it, as JSON.
        task: what it was trained for, a key of `vitrail.tasks.registry.TASKS`.
        dense: of a detector or segmenter the `vitrail.settings.Dense` it was built with, as JSON.
        category_ids: of a detector what its data set calls each class; empty where classes are called 1, 2, ...
        data: counts and digests of the images of the run, by split, as `vitrail.data.image_list.ImageList.summary`
            returns them; empty in checkpoints of versions that kept none.
    """

    model: ModelSpec
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    task: str = "classify"
    dense: dict[str, Any] = field(default_factory=dict)
    category_ids: tuple[int | str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the objective of a self-supervised model: earlier versions called all that is not dense "classify"."""
        objective = self.model.name.partition("_")[0]
        if self.task == "classify" and objective in OBJECTIVES:
            object.__setattr__(self, "task", objective)

    @property
    def has_dense_head(self) -> bool:
        """Whether the model finds objects or segments: a backbone under a head for every place."""
        return self.task in HEADS

    @property
    def is_classifier(self) -> bool:
        """Whether the model gives class scores of whole images."""
        return self.task == "classify" and bool(self.class_names)


def describe(source: str | Path) -> Description:
    """Read what a checkpoint says about itself.

    Args:
        source: a run folder (its best checkpoint, else its last), a checkpoint folder, a pointer in it, or a repository
            on the hub, ``hf:OWNER/NAME``.

    Raises:
        WeightsError: there is no checkpoint, or its description is damaged.
    """
    path = find_model(source).path
    if not is_checkpoint(path):
        raise WeightsError(
            f"{path} is no checkpoint or run folder of vitrail's; give the folder that `vitrail train` or `pretrain` "
            "wrote"
        )
    return read_description(inside(resolve(path), CONFIG))


def read_description(file: Path) -> Description:
    """Read a ``config.json``, every value of it checked.

    Raises:
        WeightsError: it is damaged, or describes what cannot be.
    """
    try:
        description = from_json(Description, read_config(file))
        check_preprocessing(description.preprocessing)
        _check_task(description)
        _check_classes(description)
    except (OSError, ValueError, VitrailError) as error:
        reason = f"{error.strerror or error}" if isinstance(error, OSError) else f"{error}"
        raise WeightsError(f"{file} is damaged ({reason}); take another checkpoint of the run") from None
    return description


def _check_task(description: Description) -> None:
    """Refuse a task that there is not.

    Raises:
        ValueError: there is no such task.
    """
    known = ("classify", *HEADS, *OBJECTIVES)
    if description.task not in known:
        raise ValueError(f"there is no task {description.task[:40]!r}, only {', '.join(known)}")


def _check_classes(description: Description) -> None:
    """Refuse class names of another number than the model's outputs.

    Raises:
        ValueError: there are fewer or more.
    """
    names, outputs = len(description.class_names), description.model.options.get("num_classes")
    if description.task == "classify" and names and outputs is not None and outputs != names:
        raise ValueError(f"it names {names} classes, and its model has {str(outputs)[:40]} outputs")


def description_json(description: Description) -> dict[str, Any]:
    """Return what ``config.json`` holds."""
    return to_json(description)
