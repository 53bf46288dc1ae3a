"""vitrail's own checkpoints: a folder with the weights and all that is needed to use them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from vitrail.config import Preprocessing, from_json, to_json
from vitrail.errors import VitrailError, WeightsError
from vitrail.heads.build import put_head
from vitrail.models.zoo import ModelSpec, build_model
from vitrail.seeding import preserved
from vitrail.settings import Dense
from vitrail.training.checkpoint import is_checkpoint, resolve
from vitrail.weights.files import State, read_state
from vitrail.weights.finite import check_finite
from vitrail.weights.load import fit_state


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
    path = Path(source).expanduser()
    if not is_checkpoint(path):
        what = "is no checkpoint or run folder of vitrail's" if path.exists() else "does not exist"
        raise WeightsError(f"{path} {what}; give the folder that `vitrail train` or `pretrain` wrote")
    file = resolve(path) / "config.json"
    try:
        return from_json(Description, json.loads(file.read_text()))
    except (OSError, ValueError, TypeError, KeyError, VitrailError) as error:
        raise WeightsError(f"{file} is damaged ({error}); take another checkpoint of the run") from None


def open_checkpoint(source: str | Path) -> tuple[nn.Module, Description]:
    """Build the model of a checkpoint with its weights, in evaluation mode.

    Args:
        source: as for `describe`.

    Raises:
        WeightsError: there is no checkpoint, or it is damaged.
    """
    description = describe(source)
    with preserved():
        model = build_described(description)
    file = resolve(Path(source).expanduser()) / "model.safetensors"
    if description.task == "classify":
        _, fitted = fit_state(model, read_state(file), str(file))
        model.load_state_dict(fitted, strict=False)
    else:
        _load_exactly(model, read_state(file), file)
    return model.eval(), description


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
