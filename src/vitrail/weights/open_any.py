"""Open a model with its weights from any file: vitrail's own checkpoints, and those of others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from vitrail.config import Preprocessing
from vitrail.data.imagenet import CLASSES, imagenet_names
from vitrail.heads.registry import build
from vitrail.training.checkpoint import CONFIG, NAME, is_checkpoint, resolve
from vitrail.training.digests import DIGESTS
from vitrail.weights.build import build_filled
from vitrail.weights.checkpoint import open_checkpoint
from vitrail.weights.description import Description, describe
from vitrail.weights.load import load_weights, move_weights
from vitrail.weights.named import find_model
from vitrail.weights.sidecars import read_json
from vitrail.weights.weights_file import WeightsFile


@dataclass(frozen=True)
class OpenedModel:
    """A model with its weights, and what is known of it.

    Attributes:
        model: in evaluation mode, on the CPU.
        description: what is known of it, in the form in which vitrail's checkpoints say it.
        is_own: whether a run of vitrail's wrote it.
        source: what the user named.
        notes: what had to be assumed, each a sentence for the user.
        reason: how the preprocessing is known, half a sentence.
        alternatives: how images may have to be prepared instead, where that is not certain.
        prepared: how images are prepared and how that is known, a sentence; "" until it is decided.
    """

    model: nn.Module
    description: Description
    is_own: bool
    source: str
    notes: tuple[str, ...] = ()
    reason: str = ""
    alternatives: tuple[Preprocessing, ...] = ()
    prepared: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All that a command says of the model before its figures."""
        return (*self.notes, self.prepared) if self.prepared else self.notes


def open_any(
    source: str | Path | WeightsFile, num_heads: int | None = None, *, accept_license: bool = False
) -> OpenedModel:
    """Open a model with its weights.

    Args:
        source: as for `vitrail.weights.named.find_model`; or others' weights that are open already.
        num_heads: number of heads, where nothing in or beside the weights says it.
        accept_license: the licence of what is fetched is accepted, where it asks for that; remembered for later.

    Raises:
        WeightsError: there is no such thing, it is damaged, or it belongs to no model known here.
    """
    if not isinstance(source, WeightsFile):
        find_model(source, accept_license=accept_license)
    if not isinstance(source, WeightsFile) and is_own_checkpoint(source):
        model, description = open_checkpoint(source)
        return OpenedModel(model, description, True, str(source), reason="the checkpoint says so")
    weights = source if isinstance(source, WeightsFile) else WeightsFile(source, num_heads)
    description, notes = described(weights)
    known = weights.preprocessing_reason, weights.alternatives
    model = model_of(weights, description, keep=weights is source)
    return OpenedModel(model, description, False, weights.source, notes, *known)


def model_of(weights: WeightsFile, description: Description, *, keep: bool = False) -> nn.Module:
    """Build the model that others' weights belong to, with them, in evaluation mode.

    Args:
        weights: the file.
        description: of it.
        keep: the file keeps its tensors, and the model has copies; else they are in memory once, in the model.

    Raises:
        WeightsError: they do not fit together.
    """
    load = load_weights if keep else move_weights
    return build_filled(lambda: build(description.model), lambda model: load(model, weights))


def is_own_checkpoint(source: str | Path) -> bool:
    """Whether a path means a checkpoint of vitrail's, be its description whole or damaged.

    Other libraries call the files of their folders the same.
    """
    path = find_model(source).path
    if not is_checkpoint(path):
        return False
    folder = resolve(path)
    known = isinstance(read_json(folder / CONFIG).get("model"), dict)
    return known or folder != path or NAME.fullmatch(folder.name) is not None or (folder / DIGESTS).exists()


def task_named(source: str | Path, *, accept_license: bool = False) -> str:
    """Return what a model was trained for, without opening its weights; those of others are taken for a classifier's.

    Arguments are those of `open_any`.

    Raises:
        WeightsError: there is no such thing, or its description is damaged.
    """
    path = find_model(source, accept_license=accept_license).path
    return describe(path).task if is_own_checkpoint(source) else "classify"


def described(weights: WeightsFile) -> tuple[Description, tuple[str, ...]]:
    """Return what is known of others' weights, and what had to be assumed, each a sentence."""
    description, notes = weights.description, []
    if weights.assumption:
        notes.append(f"{weights.source}: assumed {weights.assumption}.")
    notes += [f"{weights.source}: {sentence}" for sentence in weights.approximations]
    classes = len(description.class_names)
    if description.is_classifier and len(weights.class_names) != classes:
        if classes == CLASSES:
            names = imagenet_names()
            notes.append(
                f"{weights.source} does not name its {classes:,} classes: taken for ImageNet-1k's, in its order."
            )
        else:
            names = tuple(f"class {number}" for number in range(classes))
            notes.append(f"{weights.source} does not name its {classes:,} classes: they are called by their numbers.")
        description = replace(description, class_names=names)
    return description, tuple(notes)


__all__ = ["OpenedModel", "described", "open_any", "task_named"]
