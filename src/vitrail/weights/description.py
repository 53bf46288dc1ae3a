"""What a checkpoint of vitrail's says about itself, in the ``config.json`` beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.coerce import coerce
from vitrail.config import Preprocessing, from_json, to_json
from vitrail.errors import ConfigError, VitrailError, WeightsError
from vitrail.heads.names import parse_model
from vitrail.heads.registry import name_of, task_for
from vitrail.heads.spec import ModelSpec
from vitrail.training.checkpoint import CONFIG, is_checkpoint, resolve
from vitrail.weights.named import find_model
from vitrail.weights.plausible import check_preprocessing, read_config
from vitrail.weights.sidecars import inside


@dataclass(frozen=True)
class Description:
    """What a checkpoint says about itself, in ``config.json``.

    Attributes:
        model: backbone and head, enough to build it again.
        preprocessing: how an image becomes its input.
        class_names: of a classifier, in the order of its outputs.
        settings: of the run that made it, as JSON.
        task: what it was trained for, a key of `vitrail.tasks.registry.TASKS`; by default what its head is for.
        category_ids: of a detector what its data set calls each class; empty where classes are called 1, 2, ...
        data: counts and digests of the images of the run, by split, as `vitrail.data.image_list.ImageList.summary`
            returns them; empty in checkpoints of versions that kept none.
    """

    model: ModelSpec
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    task: str = ""
    category_ids: tuple[int | str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name the task where only the model is given.

        Raises:
            ConfigError: the model is for another task, or has a head that there is not.
        """
        task = task_for(self.model)
        if self.task not in ("", task):
            raise ConfigError(f"it says task {self.task[:40]!r}, and its head {self.model.head!r} is for {task}")
        object.__setattr__(self, "task", task)

    @property
    def name(self) -> str:
        """What users call the model: its backbone's name, or ``mae_vit_b16`` of what pretrains one."""
        return name_of(self.model)

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
        description = from_json(Description, migrated(read_config(file)))
        check_preprocessing(description.preprocessing)
        _check_classes(description)
    except (OSError, ValueError, VitrailError) as error:
        reason = f"{error.strerror or error}" if isinstance(error, OSError) else f"{error}"
        raise WeightsError(f"{file} is damaged ({reason}); take another checkpoint of the run") from None
    return description


def migrated(config: Any) -> Any:
    """Return what a ``config.json`` holds as it is written today.

    Earlier versions wrote the model as one name with the options of backbone and head in one, the settings of a
    detector or segmenter beside it, and of self-supervised models the task "classify".

    Raises:
        ConfigError: there is no such model.
    """
    model = config.get("model") if isinstance(config, dict) else None
    if not isinstance(model, dict) or "name" not in model:
        return config
    name, options = model["name"], coerce("the options of a model", dict, model.get("options", {}))
    dense = coerce("dense", dict, config.get("dense", {}))
    if dense:
        head = {key: value for key, value in dense.items() if key != "head"}
        classes = coerce("class_names", tuple[str, ...], config.get("class_names", ()))
        spec = ModelSpec(name, options, dense.get("head", "auto"), {**head, "num_classes": len(classes)})
    else:
        spec = parse_model(name, options)
    config = {key: value for key, value in config.items() if key != "dense"}
    if config.get("task") == "classify":
        del config["task"]
    return {**config, "model": to_json(spec)}


def _check_classes(description: Description) -> None:
    """Refuse class names of another number than the model's outputs.

    Raises:
        ValueError: there are fewer or more.
    """
    names, outputs = len(description.class_names), description.model.head_options.get("num_classes")
    if names and outputs is not None and outputs != names:
        raise ValueError(f"it names {names} classes, and its model has {str(outputs)[:40]} outputs")


def description_json(description: Description) -> dict[str, Any]:
    """Return what ``config.json`` holds."""
    return to_json(description)
