"""vitrail's own checkpoints: a folder with the weights and all that is needed to use them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from vitrail.config import Preprocessing, from_json, to_json
from vitrail.errors import VitrailError, WeightsError
from vitrail.models.zoo import ModelSpec, build_model
from vitrail.training.checkpoint import is_checkpoint, resolve
from vitrail.weights.files import read_state
from vitrail.weights.load import fit_state


@dataclass(frozen=True)
class Description:
    """What a checkpoint says about itself, in ``config.json``.

    Attributes:
        model: name and options, enough to build it again.
        preprocessing: how a picture becomes its input.
        class_names: of a classifier, in the order of its outputs.
        settings: of the run that made it, as JSON.
    """

    model: ModelSpec
    preprocessing: Preprocessing
    class_names: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def is_classifier(self) -> bool:
        """Whether the model gives class scores."""
        return bool(self.class_names)


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
    model = build_model(description.model.name, **description.model.options)
    file = resolve(Path(source).expanduser()) / "model.safetensors"
    _, fitted = fit_state(model, read_state(file), str(file))
    model.load_state_dict(fitted, strict=False)
    return model.eval(), description


def description_json(description: Description) -> dict[str, Any]:
    """Return what ``config.json`` holds."""
    return to_json(description)
