"""vitrail's own checkpoints: a folder with the weights and all that is needed to use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitrail.config import Preprocessing, from_json, to_json
from vitrail.errors import VitrailError, WeightsError
from vitrail.heads.build import put_head
from vitrail.models.zoo import ModelSpec, build_model
from vitrail.seeding import preserved
from vitrail.settings import Dense
from vitrail.training.checkpoint import check_whole, is_checkpoint, resolve
from vitrail.weights.beside import inside
from vitrail.weights.files import State, read_state
from vitrail.weights.finite import check_finite
from vitrail.weights.load import fit_state
from vitrail.weights.paths import path_of
from vitrail.weights.plausible import check_counts, check_preprocessing, check_size, header_of, read_config


@dataclass(frozen=True)
class Description:
    """What a checkpoint says about itself, in ``config.json``.

    Attributes:
        model: name and options, enough to build it again.
        preprocessing: how a picture becomes its input.
        class_names: of a classifier, in the order of its outputs.
        settings: of the run that made it, as JSON.
        task: what it was trained for, as in `vitrail.settings.TrainSettings`.
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

    @property
    def is_classifier(self) -> bool:
        """Whether the model gives class scores of whole pictures."""
        return self.task == "classify" and bool(self.class_names)


def describe(source: str | Path) -> Description:
    """Read what a checkpoint says about itself.

    Args:
        source: a run folder (its best checkpoint, else its last), a checkpoint folder, or a pointer in it.

    Raises:
        WeightsError: there is no checkpoint, or its description is damaged.
    """
    path = path_of(source)
    if not is_checkpoint(path):
        what = "is no checkpoint or run folder of vitrail's" if path.exists() else "does not exist"
        raise WeightsError(f"{path} {what}; give the folder that `vitrail train` or `pretrain` wrote")
    return read_description(inside(resolve(path), "config.json"))


def read_description(file: Path) -> Description:
    """Read a ``config.json``, every value of it checked.

    Raises:
        WeightsError: it is damaged, or describes what cannot be.
    """
    try:
        description = from_json(Description, read_config(file))
        check_preprocessing(description.preprocessing)
        _check_classes(description)
    except (OSError, ValueError, VitrailError) as error:
        reason = f"{error.strerror or error}" if isinstance(error, OSError) else f"{error}"
        raise WeightsError(f"{file} is damaged ({reason}); take another checkpoint of the run") from None
    return description


def _check_classes(description: Description) -> None:
    """Refuse class names of another number than the model's outputs.

    Raises:
        ValueError: there are fewer or more.
    """
    names, outputs = len(description.class_names), description.model.options.get("num_classes")
    if description.task == "classify" and names and outputs is not None and outputs != names:
        raise ValueError(f"it names {names} classes, and its model has {str(outputs)[:40]} outputs")


def open_checkpoint(source: str | Path) -> tuple[nn.Module, Description]:
    """Build the model of a checkpoint with its weights, in evaluation mode.

    Args:
        source: as for `describe`.

    Raises:
        WeightsError: there is no checkpoint, or it is damaged.
    """
    description = describe(source)
    checkpoint = resolve(Path(source).expanduser())
    file = inside(checkpoint, "model.safetensors")
    _check_fits(description, file)
    check_whole(checkpoint)
    with preserved():
        model = build_described(description)
    state = read_state(file)
    if description.task == "classify":
        _, fitted = fit_state(model, state, str(file))
        model.load_state_dict(fitted, strict=False)
    else:
        _load_exactly(model, state, file)
    return model.eval(), description


def _check_fits(description: Description, file: Path) -> None:
    """Refuse a description of a model that its file of weights cannot hold, before any memory is taken.

    Raises:
        WeightsError: it asks for more than there is.
    """
    sizes = header_of(file)
    check_counts(description.model.options, sizes, file)
    check_counts(description.dense, sizes, file)
    try:
        with torch.device("meta"):
            model = build_described(description)
    except (VitrailError, RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(
            f"the config.json beside {file} describes no model that can be built ({reason}); take another checkpoint"
        ) from None
    check_size(model, sizes, file)


def build_described(description: Description) -> nn.Module:
    """Build the model of a description, with random weights.

    Raises:
        ConfigError: its options do not fit together.
    """
    model, options = description.model, description.model.options
    if description.task == "classify":
        return build_model(model.name, **options)
    backbone = build_model(model.name, **{**options, "num_classes": 0})
    return put_head(backbone, from_json(Dense, description.dense), len(description.class_names))


def _load_exactly(model: nn.Module, state: State, file: Path) -> None:
    check_finite(state, str(file))
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{file} does not hold the model its config.json describes ({reason})") from None


def description_json(description: Description) -> dict[str, Any]:
    """Return what ``config.json`` holds."""
    return to_json(description)
