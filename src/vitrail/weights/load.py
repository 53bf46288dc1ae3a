"""Fit the tensors of a file to a model, and say what became of each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError, WeightsError, nearest
from vitrail.layers.positions import resize_positions
from vitrail.models.backbone import Backbone, backbone_of
from vitrail.weights.build import give
from vitrail.weights.checks import (
    HEADS,
    check_belongs,
    check_blocks,
    check_heads,
    check_missing,
    check_representation,
    check_unexpected,
    check_windows,
    is_zero_bias,
    may_be_left_out,
    mismatch,
)
from vitrail.weights.finite import check_finite
from vitrail.weights.formats import swin, swin_v2, vit_positions
from vitrail.weights.formats.plain import INPUT_KERNELS, input_kernel, plain_name
from vitrail.weights.formats.rename import kinds_of
from vitrail.weights.reader import State
from vitrail.weights.shape import channels_of
from vitrail.weights.weights_file import WeightsFile, open_weights

ADAPTATIONS = ("classes", "channels")

Fate = Literal["loaded", "resized", "adapted", "dropped", "missing"]


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor of a weights file.

    Attributes:
        loaded: names in the model that got the file's values as they are.
        resized: names that got them after resizing (positions of another grid).
        adapted: names that got them after a change of the number of input channels; biases of queries, keys and
            values of a model that has none are zeros, which compute the same.
        dropped: names in the file that the model has no use for, or another shape (a head), and so left out.
        missing: names in the model that the file has nothing for; they keep their initial values.
        unexpected: names in the file that the model does not know.
        layout: whose names the file uses, a key of `vitrail.weights.detect.LAYOUTS`.
        note: a sentence where the file holds averaged (EMA) weights as well; else "".
    """

    loaded: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    layout: str = "vitrail"
    note: str = ""

    def __str__(self) -> str:
        parts = [f"loaded {len(self.loaded)} tensors ({self.layout} names)"]
        for kind in ("resized", "adapted", "dropped", "missing", "unexpected"):
            names = getattr(self, kind)
            if names:
                shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
                parts.append(f"{kind} {len(names)} ({shown})")
        return "; ".join([*parts, self.note] if self.note else parts)


def load_weights(
    model: nn.Module,
    file: str | Path | WeightsFile,
    *,
    adapt: Collection[str] = ("classes",),
    partial: bool = False,
) -> LoadReport:
    """Load a weights file into a model; the file's layout is recognised by its content.

    The encoder of a masked autoencoder loads into a classifier, and the other way round; positions of another
    grid are resized.

    Args:
        model: an `ImageClassifier`, a bare backbone or a `MAE`; changed in place, or not at all on an error.
        file: a weights file, a folder from a model hub, or a checkpoint or run folder of vitrail's; or one of them,
            opened.
        adapt: differences that may be bridged. ``"classes"``: a head for other classes is left out, and the
            model's stays as it is; ``"channels"``: the kernel of the patch embedding is fitted to other input
            channels (see `fit_channels`).
        partial: accept a file that lacks weights the model needs, or has blocks the model lacks.

    Returns:
        What was loaded, resized, adapted, dropped, missing and unexpected.

    Raises:
        WeightsError: the file cannot be read, lacks weights the model cannot do without, or holds others that
            the model would have to use.
    """
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"expected a model to load weights into, not {type(model).__name__}; see vitrail.create_model"
        )
    report, fitted = _fitted(model, open_weights(file), adapt, partial)
    give(model, fitted, copy=True)
    return report


def move_weights(model: nn.Module, weights: WeightsFile) -> LoadReport:
    """Load an open weights file into a model as `load_weights` does, and let the file forget its tensors.

    Those of a model that has only shapes become the file's own, so that they are in memory once.

    Args:
        model: changed in place, or not at all on an error.
        weights: reads its tensors again if it is asked for them afterwards.

    Raises:
        WeightsError: as for `load_weights`.
    """
    report, fitted = _fitted(model, weights, ("classes",), partial=False)
    weights.forget()
    give(model, fitted)
    return report


def _fitted(model: nn.Module, weights: WeightsFile, adapt: Collection[str], partial: bool) -> tuple[LoadReport, State]:
    origin, layout = weights.source, weights.layout
    check_heads(model, weights.stated_heads, origin)
    report, fitted = fit_state(
        model, weights.tensors, origin, adapt=adapt, partial=partial, layout=layout, source=weights.named_tensors
    )
    return dataclasses.replace(report, dropped=(*report.dropped, *weights.ignored), note=weights.note), fitted


def fit_state(
    model: nn.Module,
    state: State,
    origin: str,
    *,
    adapt: Collection[str] = ("classes",),
    partial: bool = False,
    layout: str = "vitrail",
    source: State | None = None,
) -> tuple[LoadReport, State]:
    """Match named tensors to a model without changing it.

    Args:
        model: the model they are for.
        state: tensors under plain names, or under those of a model of vitrail's.
        origin: where they come from, for error messages.
        adapt: as for `load_weights`.
        partial: as for `load_weights`.
        layout: whose names they came under, for the report.
        source: the tensors by the file's own names, for error messages.

    Returns:
        The report, and the tensors under the model's own names and in its shapes.

    Raises:
        WeightsError: a tensor has a shape that cannot be fitted, or values that are not finite; a needed one is
            missing; or there are others that would take part in the computation.
        ConfigError: ``adapt`` names something that is no adaptation.
    """
    for name in adapt:
        if name not in ADAPTATIONS:
            raise ConfigError(f"adapt takes {' and '.join(ADAPTATIONS)}, not {name!r}{nearest(name, ADAPTATIONS)}")
    state = {plain_name(name): tensor for name, tensor in state.items()}
    kinds = kinds_of(state)
    targets = model.state_dict()
    unused = sorted(set(state) - {plain_name(name) for name in targets})
    unexpected = [name for name in unused if not may_be_left_out(name)]
    beyond = check_unexpected(model, unexpected, state, origin, layout)
    if not partial:
        check_blocks(beyond, state, origin)
    check_windows(model, state, origin)
    fates: dict[Fate, list[str]] = {fate: [] for fate in get_args(Fate)}
    fitted: State = {}
    for name, target in targets.items():
        if swin_v2.is_computed(name) and plain_name(name) not in state:
            continue
        fate, tensor = _fit(model, name, target, state, adapt, origin)
        if fate == "missing" and is_zero_bias(plain_name(name), state, kinds):
            fate, tensor = "adapted", torch.zeros(target.shape, dtype=target.dtype)
        fates[fate].append(plain_name(name) if fate == "dropped" else name)
        if tensor is not None:
            fitted[name] = tensor
    if "head.weight" in fates["dropped"]:
        _drop_rest_of_head(fates, fitted)
    fates["dropped"] += [name for name in unused if name not in unexpected]
    check_belongs(fitted, state, origin)
    if not partial:
        check_missing(model, fates["missing"], state, origin)
    check_representation(model, fates["dropped"], fitted, state, origin)
    check_finite(fitted, origin, source)
    names: dict[str, Any] = {fate: tuple(those) for fate, those in fates.items()}
    return LoadReport(**names, unexpected=tuple(unexpected), layout=layout), fitted


def _drop_rest_of_head(fates: dict[Fate, list[str]], fitted: State) -> None:
    """Leave out a head's bias where its weights are left out: it belongs to them, even if it has the model's shape."""
    for name in [name for name in fitted if plain_name(name).startswith(HEADS)]:
        del fitted[name]
        fates["loaded"].remove(name)
        fates["dropped"].append(plain_name(name))


def _fit(
    model: nn.Module, name: str, target: Tensor, state: State, adapt: Collection[str], origin: str
) -> tuple[Fate, Tensor | None]:
    """Find the tensor for one name of the model, in its shape, and say how it came to it.

    Raises:
        WeightsError: the tensor has a shape that cannot be fitted.
    """
    plain = plain_name(name)
    tensor = state.get(plain)
    if tensor is None:
        return "missing", None
    if plain in ("pos_embed", "decoder.pos_embed"):
        fitted = _fit_positions(model, target, plain, state, origin)
        return ("loaded" if fitted.shape == tensor.shape else "resized"), fitted
    if tensor.shape == target.shape:
        return "loaded", tensor
    if swin_v2.is_computed(plain):
        swin_v2.check_windows(plain, tensor, target, origin)
        return "dropped", None
    backbone = backbone_of(model)
    if backbone.has_windows and swin.is_fitted(plain):
        return "resized", swin.fit(backbone, plain, tensor)
    if backbone.attention_layers() and not backbone.has_windows and vit_positions.is_fitted(plain):
        return "resized", _checked(vit_positions.fit(backbone, plain, tensor), target, plain, tensor, state, origin)
    if plain.startswith(HEADS) and "classes" in adapt:
        return "dropped", None
    other = _other_channels(model, plain, state)
    if other is None or other.shape != target.shape:
        raise WeightsError(mismatch(plain, tensor, target, state, origin))
    if "channels" not in adapt:
        raise WeightsError(
            f"{origin} was trained on {channels_of(state)} input channels, the model has "
            f'{_channels(model)}; build it with as many, or load with adapt=("classes", "channels")'
        )
    return "adapted", other


def _checked(fitted: Tensor, target: Tensor, name: str, tensor: Tensor, state: State, origin: str) -> Tensor:
    """Refuse what was fitted to the grid and still is of another model."""
    if fitted.shape != target.shape:
        raise WeightsError(mismatch(name, tensor, target, state, origin))
    return fitted


def fit_channels(name: str, tensor: Tensor, old: int, new: int) -> Tensor:
    """Fit a tensor that depends on the number of input channels to another number of them.

    A kernel that sees pixels ``(D, C, P, P)``: for one channel the sum, so that a grey image gives the tokens of
    its colour copy; for more the channels in turn, scaled by old / new, so that tokens keep their size. MAE's
    prediction ``(P * P * C, ...)``: the mean, or the channels in turn.

    Args:
        name: one of `INPUT_KERNELS`, ``decoder.predict.weight`` or ``decoder.predict.bias``.
        tensor: what the file has.
        old: number of channels the tensor is for.
        new: number of channels wanted.
    """
    turn = torch.arange(new) % old
    if name in INPUT_KERNELS:
        return tensor.sum(dim=1, keepdim=True) if new == 1 else tensor[:, turn] * (old / new)
    pixels = tensor.unflatten(0, (-1, old))
    return (pixels.mean(dim=1, keepdim=True) if new == 1 else pixels[:, turn]).flatten(0, 1)


def _other_channels(model: nn.Module, name: str, state: State) -> Tensor | None:
    """Return a tensor fitted to the model's channels, or None when channels are not what it differs in."""
    old, new = channels_of(state), _channels(model)
    depends = name == input_kernel(state) or name.startswith("decoder.predict.")
    if not depends or old in (0, new) or (name.startswith("decoder.") and state[name].shape[0] % old):
        return None
    return fit_channels(name, state[name], old, new)


def _channels(model: nn.Module) -> int:
    return backbone_of(model).config.channels


def _fit_positions(model: nn.Module, target: Tensor, name: str, state: State, origin: str) -> Tensor:
    """Resize positions to the model's grid, and fit them to a model with or without those of the class token."""
    backbone = backbone_of(model)
    tensor = state[name]
    if tensor.ndim != 3 or tensor.shape[::2] != target.shape[::2]:
        raise WeightsError(mismatch(name, tensor, target, state, origin))
    new = backbone.token_grid(*backbone.config.image_size)
    assert new is not None  # only what has tokens has positions
    before, places = _placed_tokens(tensor, state, backbone, new), math.prod(new)
    if tensor.shape[1] <= before:
        raise WeightsError(mismatch(name, tensor, target, state, origin))
    side = math.isqrt(tensor.shape[1] - before)
    if tensor.shape[1] - before == places:
        old = new
    elif side * side == tensor.shape[1] - before:
        old = (side, side)
    else:
        raise WeightsError(
            f"{origin}: {name} has {tensor.shape[1] - before} places, which is no square grid; build the model with "
            "the image_size of the weights, which then takes images of any size"
        )
    fitted = resize_positions(tensor, old, new, before, backbone.config.position_resize)
    return _with_placed_tokens(fitted, before, backbone, state, origin)


def _placed_tokens(positions: Tensor, state: State, backbone: Backbone, grid: tuple[int, int]) -> int:
    """Return how many of a file's positions belong to tokens before the grid: to all that can have one, or to none."""
    front = sum(name in state for name in ("cls_token", "dist_token"))
    count, wanted = positions.shape[1], backbone.placed_tokens
    as_here = wanted == front or (wanted == 0 and backbone.prefix_tokens > 0)
    if as_here and count - wanted == math.prod(grid):
        return wanted
    return 0 if math.isqrt(count) ** 2 == count else front


def _with_placed_tokens(positions: Tensor, before: int, backbone: Backbone, state: State, origin: str) -> Tensor:
    """Give tokens before the grid positions of zeros where the file has none, and leave out those nobody asks for."""
    wanted = backbone.placed_tokens
    if before < wanted:
        if "cls_token" not in state:
            raise WeightsError(f"{origin} was trained without a class token; build the model with class_token=False")
        zeros = positions.new_zeros(1, wanted - before, positions.shape[2])
        return torch.cat([zeros, positions], dim=1)
    left_out = positions[:, : before - wanted]
    if backbone.prefix_tokens and left_out.any():
        raise WeightsError(f"{origin} has a position for its class token; build the model with prefix_positions=True")
    return positions[:, before - wanted :]
