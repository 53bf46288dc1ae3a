"""Fit the tensors of a file to a model, and say what became of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from vitrail.errors import WeightsError
from vitrail.layers.positions import resize_positions
from vitrail.models.classifier import ImageClassifier
from vitrail.models.mae import MAE
from vitrail.models.vit import ViT
from vitrail.train.checkpoint import is_checkpoint, resolve
from vitrail.weights.files import read_state

# What may be missing from a file without harm: a head is new for new classes, `fc_norm` is new when mean
# pooling replaces the class token, and fixed positions are computed.
MAY_BE_MISSING = ("head.", "fc_norm.")


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor of a weights file.

    Attributes:
        loaded: names in the model that got the file's values as they are.
        resized: names that got them after resizing (positions of another grid).
        dropped: names in the file that the model has another shape for, and so left out (a head).
        missing: names in the model that the file has nothing for; they keep their initial values.
        unexpected: names in the file that the model does not know.
    """

    loaded: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [f"loaded {len(self.loaded)} tensors"]
        for kind in ("resized", "dropped", "missing", "unexpected"):
            names = getattr(self, kind)
            if names:
                shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
                parts.append(f"{kind} {len(names)} ({shown})")
        return "; ".join(parts)


def load_weights(model: nn.Module, file: str | Path) -> LoadReport:
    """Load a weights file into a model, by name.

    Names are plain ViT ones (``blocks.0.attn.qkv.weight``), with or without the prefixes ``backbone.`` or
    ``encoder.``; so the encoder of a masked autoencoder loads into a classifier, and the other way round.

    Args:
        model: an `ImageClassifier`, a `ViT` or a `MAE`; changed in place, or not at all if an error is raised.
        file: a weights file, or a checkpoint, run folder or checkpoint folder of vitrail's.

    Returns:
        What was loaded, resized, dropped, missing and unexpected.

    Raises:
        WeightsError: the file cannot be read, or lacks weights the model cannot do without.
    """
    state = read_state(weights_file(file))
    report, fitted = fit_state(model, state, str(file))
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
    model: nn.Module, state: dict[str, Tensor], origin: str, allow_missing: tuple[str, ...] = ()
) -> tuple[LoadReport, dict[str, Tensor]]:
    """Match named tensors to a model without changing it.

    Args:
        model: the model they are for.
        state: tensors under plain names.
        origin: where they come from, for error messages.
        allow_missing: beginnings of names that may keep their initial values.

    Returns:
        The report, and the tensors under the model's own names and in its shapes.

    Raises:
        WeightsError: a tensor has a shape that cannot be fitted, or a needed one is missing.
    """
    source = {plain_name(name): tensor for name, tensor in state.items()}
    fitted: dict[str, Tensor] = {}
    resized, dropped, missing = [], [], []
    wanted = {name: plain_name(name) for name in model.state_dict()}
    for name, target in model.state_dict().items():
        plain = wanted[name]
        tensor = source.get(plain)
        if tensor is None:
            missing.append(name)
        elif plain in ("pos_embed", "decoder.pos_embed"):
            fitted[name] = _fit_positions(model, plain, tensor, source, origin)
            if fitted[name].shape != tensor.shape:
                resized.append(name)
        elif tensor.shape == target.shape:
            fitted[name] = tensor
        elif plain.startswith("head."):
            dropped.append(plain)
        else:
            raise WeightsError(
                f"{origin}: {plain} has shape {tuple(tensor.shape)}, this model needs {tuple(target.shape)}; "
                "build the model with the size, patch size and channels of the weights"
            )
    if not fitted:
        raise WeightsError(
            f"{origin} has no tensor this model knows (it begins with {', '.join(sorted(source)[:3])}); "
            "is it a ViT's?"
        )
    _check_missing(model, missing, origin, allow_missing)
    unexpected = sorted(set(source) - set(wanted.values()))
    # A decoder is of no use to an encoder, nor a final norm to mean pooling: left out by design.
    dropped += [name for name in unexpected if name.startswith(("decoder.", "norm.", "fc_norm.", "head."))]
    report = LoadReport(
        loaded=tuple(name for name in fitted if name not in resized),
        resized=tuple(resized),
        dropped=tuple(dropped),
        missing=tuple(missing),
        unexpected=tuple(name for name in unexpected if name not in dropped),
    )
    return report, fitted


def plain_name(name: str) -> str:
    """Strip what wrappers put before a parameter's own name."""
    for prefix in ("module.", "_orig_mod.", "model.", "backbone.", "encoder."):
        name = name.removeprefix(prefix)
    return name


def _check_missing(model: nn.Module, missing: list[str], origin: str, allow_missing: tuple[str, ...]) -> None:
    parameters = dict(model.named_parameters())
    needed = [
        name
        for name in missing
        if not plain_name(name).startswith(MAY_BE_MISSING + allow_missing)
        and parameters[name].requires_grad  # fixed positions are computed, not learned
    ]
    if needed:
        shown = ", ".join(needed[:3]) + (", ..." if len(needed) > 3 else "")
        hint = "; it holds an encoder only" if all(n.startswith("decoder.") for n in needed) else ""
        raise WeightsError(f"{origin} lacks {len(needed)} tensors this model needs ({shown}){hint}")


def _fit_positions(
    model: nn.Module, plain: str, tensor: Tensor, source: dict[str, Tensor], origin: str
) -> Tensor:
    """Resize positions to the model's grid, and fit them to a model with or without a class token."""
    backbone = _backbone(model)
    new = backbone.patch_embed.grid(*backbone.config.image_size)
    prefix = int("cls_token" in source)
    places = tensor.shape[1] - prefix
    side = math.isqrt(places)
    if places == new[0] * new[1]:
        old = new
    elif side * side == places:
        old = (side, side)
    else:
        raise WeightsError(
            f"{origin}: {plain} has {places} places, which is no square grid; build the model with the "
            "image_size of the weights, which then takes pictures of any size"
        )
    fitted = resize_positions(tensor, old, new, prefix)
    if prefix > backbone.prefix:
        return fitted[:, prefix:]
    if prefix < backbone.prefix:
        raise WeightsError(f"{origin} was trained without a class token; build the model with class_token=False")
    return fitted


def _backbone(model: nn.Module) -> ViT:
    if isinstance(model, MAE):
        return model.encoder
    backbone = model.backbone if isinstance(model, ImageClassifier) else model
    if not isinstance(backbone, ViT):
        raise WeightsError(f"weights for a {type(backbone).__name__} cannot be loaded yet")
    return backbone
