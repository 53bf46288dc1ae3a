"""Fit the tensors of a file to a model, and say what became of each."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError, WeightsError, nearest
from vitrail.layers.positions import resize_positions
from vitrail.models.swin import Swin
from vitrail.models.vit import ViT
from vitrail.models.zoo import backbone_of
from vitrail.training.checkpoint import is_checkpoint, resolve
from vitrail.weights import grids, swin
from vitrail.weights.detect import to_plain
from vitrail.weights.files import State, read_state
from vitrail.weights.plain import INPUT_KERNELS, input_kernel, plain_name
from vitrail.weights.shape import shape_of

# What a model may lack in a file without harm: a head is new for new classes, a predictor for another way to
# pretrain, and `fc_norm` when mean pooling replaces the class token, as published for MAE's fine-tuning.
MAY_BE_MISSING = ("head.", "pre_logits.", "fc_norm.", "predictor.")

# What a file may hold without a model having it: a decoder is of no use to a backbone, nor a head; the final norm
# belongs to one way of pooling, the class token to another.
MAY_BE_LEFT_OUT = ("decoder.", "predictor.", "head.", "pre_logits.", "norm.", "fc_norm.", "cls_token")

# What else a file holds and a model lacks is only reported, unless it would have taken part in the computation.
MATTERS = ("patch_embed.", "blocks.", "pos_embed", "dist_token", "reg_token", "norm_pre.", "mask_token")

ADAPTATIONS = ("classes", "channels")

Fate = Literal["loaded", "resized", "adapted", "dropped", "missing"]


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor of a weights file.

    Attributes:
        loaded: names in the model that got the file's values as they are.
        resized: names that got them after resizing (positions of another grid).
        adapted: names that got them after a change of the number of input channels.
        dropped: names in the file that the model has no use for, or another shape (a head), and so left out.
        missing: names in the model that the file has nothing for; they keep their initial values.
        unexpected: names in the file that the model does not know.
        layout: whose names the file uses, a key of `vitrail.weights.detect.LAYOUTS`.
    """

    loaded: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    layout: str = "vitrail"

    def __str__(self) -> str:
        parts = [f"loaded {len(self.loaded)} tensors ({self.layout} names)"]
        for kind in ("resized", "adapted", "dropped", "missing", "unexpected"):
            names = getattr(self, kind)
            if names:
                shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
                parts.append(f"{kind} {len(names)} ({shown})")
        return "; ".join(parts)


def load_weights(
    model: nn.Module,
    file: str | Path,
    *,
    adapt: Collection[str] = ("classes",),
    partial: bool = False,
) -> LoadReport:
    """Load a weights file into a model; the file's layout is recognised by its content.

    The encoder of a masked autoencoder loads into a classifier, and the other way round; positions of another
    grid are resized.

    Args:
        model: an `ImageClassifier`, a bare backbone or a `MAE`; changed in place, or not at all on an error.
        file: a weights file, a folder from a model hub, or a checkpoint or run folder of vitrail's.
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
    plain = to_plain(read_state(weights_file(file)), str(file))
    _check_heads(model, plain.num_heads, str(file))
    report, fitted = fit_state(model, plain.state, str(file), adapt=adapt, partial=partial, layout=plain.layout)
    model.load_state_dict(fitted, strict=False)
    return report


def weights_file(source: str | Path) -> Path:
    """Return the file of tensors a path means: itself, or the model inside a checkpoint or run folder.

    Raises:
        WeightsError: the folder holds no checkpoint.
    """
    path = Path(source).expanduser()
    return resolve(path) / "model.safetensors" if is_checkpoint(path) else path


def fit_state(
    model: nn.Module,
    state: State,
    origin: str,
    *,
    adapt: Collection[str] = ("classes",),
    partial: bool = False,
    layout: str = "vitrail",
) -> tuple[LoadReport, State]:
    """Match named tensors to a model without changing it.

    Args:
        model: the model they are for.
        state: tensors under plain names, or under those of a model of vitrail's.
        origin: where they come from, for error messages.
        adapt: as for `load_weights`.
        partial: as for `load_weights`.
        layout: whose names they came under, for the report.

    Returns:
        The report, and the tensors under the model's own names and in its shapes.

    Raises:
        WeightsError: a tensor has a shape that cannot be fitted, or a needed one is missing.
        ConfigError: ``adapt`` names something that is no adaptation.
    """
    for name in adapt:
        if name not in ADAPTATIONS:
            raise ConfigError(f"adapt takes {' and '.join(ADAPTATIONS)}, not {name!r}{nearest(name, ADAPTATIONS)}")
    state = {plain_name(name): tensor for name, tensor in state.items()}
    targets = model.state_dict()
    unused = sorted(set(state) - {plain_name(name) for name in targets})
    unexpected = [name for name in unused if not name.startswith(MAY_BE_LEFT_OUT)]
    if not partial:
        _check_unexpected(unexpected, state, origin, layout)
    fates: dict[Fate, list[str]] = {fate: [] for fate in get_args(Fate)}
    fitted: State = {}
    for name, target in targets.items():
        fate, tensor = _fit(model, name, target, state, adapt, origin)
        fates[fate].append(plain_name(name) if fate == "dropped" else name)
        if tensor is not None:
            fitted[name] = tensor
    if "head.weight" in fates["dropped"]:
        _drop_rest_of_head(fates, fitted)
    fates["dropped"] += [name for name in unused if name not in unexpected]
    _check_belongs(fitted, state, origin)
    if not partial:
        _check_missing(model, fates["missing"], state, origin)
    _check_representation(fates["dropped"], fitted, origin)
    names = {fate: tuple(those) for fate, those in fates.items()}
    return LoadReport(**names, unexpected=tuple(unexpected), layout=layout), fitted


def _drop_rest_of_head(fates: dict[Fate, list[str]], fitted: State) -> None:
    """Leave out a head's bias where its weights are left out: it belongs to them, even if it has the model's shape."""
    for name in [name for name in fitted if plain_name(name).startswith("head.")]:
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
    if isinstance(backbone := backbone_of(model), Swin) and swin.is_fitted(plain):
        return "resized", swin.fit(backbone, plain, tensor)
    if isinstance(backbone, ViT) and grids.is_fitted(plain):
        return "resized", _checked(grids.fit(backbone, plain, tensor), target, plain, tensor, state, origin)
    if plain.startswith("head.") and "classes" in adapt:
        return "dropped", None
    other = _other_channels(model, plain, state)
    if other is None or other.shape != target.shape:
        raise WeightsError(_mismatch(plain, tensor, target, state, origin))
    if "channels" not in adapt:
        raise WeightsError(
            f"{origin} was trained on {shape_of(state).channels} input channels, the model has "
            f'{_channels(model)}; build it with as many, or load with adapt=("classes", "channels")'
        )
    return "adapted", other


def _checked(fitted: Tensor, target: Tensor, name: str, tensor: Tensor, state: State, origin: str) -> Tensor:
    """Refuse what was fitted to the grid and still is of another model."""
    if fitted.shape != target.shape:
        raise WeightsError(_mismatch(name, tensor, target, state, origin))
    return fitted


def fit_channels(name: str, tensor: Tensor, old: int, new: int) -> Tensor:
    """Fit a tensor that depends on the number of input channels to another number of them.

    A kernel that sees pixels ``(D, C, P, P)``: for one channel the sum, so that a grey picture gives the tokens of
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
    old, new = shape_of(state).channels, _channels(model)
    depends = name == input_kernel(state) or name.startswith("decoder.predict.")
    if not depends or old in (0, new) or (name.startswith("decoder.") and state[name].shape[0] % old):
        return None
    return fit_channels(name, state[name], old, new)


def _channels(model: nn.Module) -> int:
    return backbone_of(model).config.channels


def _fit_positions(model: nn.Module, target: Tensor, name: str, state: State, origin: str) -> Tensor:
    """Resize positions to the model's grid, and fit them to a model with or without a class token."""
    backbone = backbone_of(model)
    tensor = state[name]
    prefix = int("cls_token" in state)
    alike = tensor.ndim == 3 and tensor.shape[::2] == target.shape[::2]
    if not alike or tensor.shape[1] <= prefix:
        raise WeightsError(_mismatch(name, tensor, target, state, origin))
    if prefix < backbone.prefix:
        raise WeightsError(f"{origin} was trained without a class token; build the model with class_token=False")
    new = backbone.patch_embed.grid(*backbone.config.image_size)
    places = tensor.shape[1] - prefix
    side = math.isqrt(places)
    if places == new[0] * new[1]:
        old = new
    elif side * side == places:
        old = (side, side)
    else:
        raise WeightsError(
            f"{origin}: {name} has {places} places, which is no square grid; build the model with the "
            "image_size of the weights, which then takes pictures of any size"
        )
    mode = backbone.config.position_resize
    return resize_positions(tensor, old, new, prefix, mode)[:, prefix - backbone.prefix :]


def _check_heads(model: nn.Module, num_heads: int | None, origin: str) -> None:
    """Refuse a model with another number of heads than the file says: its tensors would fit, and mean nothing."""
    own = getattr(backbone_of(model).config, "num_heads", None)
    if num_heads and own and num_heads != own:
        raise WeightsError(f"{origin} has {num_heads} heads, the model {own}; build it with num_heads={num_heads}")


def _check_belongs(fitted: State, state: State, origin: str) -> None:
    if not any(not plain_name(name).startswith("head.") for name in fitted):
        begins = ", ".join(sorted(state)[:3])
        raise WeightsError(f"{origin} has no tensor this model knows (it begins with {begins}); is it a ViT's?")


def _check_missing(model: nn.Module, missing: list[str], state: State, origin: str) -> None:
    parameters = dict(model.named_parameters())
    needed = [
        name
        for name in missing
        if not plain_name(name).startswith(MAY_BE_MISSING)
        # Fixed positions and buffers are computed, not learned.
        and name in parameters
        and parameters[name].requires_grad
    ]
    if needed:
        shown = ", ".join(needed[:3]) + (", ..." if len(needed) > 3 else "")
        raise WeightsError(f"{origin} lacks {len(needed)} tensors this model needs ({shown}){_hint(needed, state)}")


def _hint(needed: list[str], state: State) -> str:
    """Say what to do about tensors that are missing for a known reason."""
    plain = [plain_name(name) for name in needed]
    if all(name.startswith("decoder.") for name in plain):
        return "; it holds an encoder only: load it into mae.encoder, or fetch the file with the decoder"
    if all(name.startswith("norm.") for name in plain) and "fc_norm.weight" in state:
        return '; it was trained with mean pooling: build the model with pool="mean"'
    return ""


def _check_representation(dropped: list[str], fitted: State, origin: str) -> None:
    """Refuse to put a head on other features than it was trained on."""
    hidden = [name for name in dropped if name.startswith("pre_logits.")]
    if hidden and "head.weight" in fitted:
        raise WeightsError(
            f"the head in {origin} stands on a representation layer, which the model lacks; build the model with one, "
            "or with the number of your own classes"
        )


def _check_unexpected(unexpected: list[str], state: State, origin: str, layout: str) -> None:
    matter = [name for name in unexpected if layout not in ("vitrail", "timm", "mae") or name.startswith(MATTERS)]
    if matter:
        shown = ", ".join(matter[:3]) + (", ..." if len(matter) > 3 else "")
        raise WeightsError(
            f"{origin} holds {len(matter)} tensors this model has no place for ({shown}); "
            f"they belong to {shape_of(state)}; build that, or load with partial=True"
        )


def _mismatch(name: str, tensor: Tensor, target: Tensor, state: State, origin: str) -> str:
    return (
        f"{origin}: {name} has shape {tuple(tensor.shape)}, this model needs {tuple(target.shape)}; "
        f"the file belongs to {shape_of(state)}"
    )
