"""From any layout to any other, by way of plain names."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from vitrail.config import to_json
from vitrail.errors import WeightsError
from vitrail.heads.registry import is_dense, title_of
from vitrail.serialize import share
from vitrail.weights.detect import layout_for, layout_named
from vitrail.weights.paths import path_of
from vitrail.weights.reader import NOTES, State
from vitrail.weights.sidecars import check_sidecars, sidecars, write_sidecars
from vitrail.weights.weights_file import WeightsFile, unknown_parts

SUFFIXES = {".safetensors": ".safetensors", ".npz": ".npz", ".pth": ".pth", ".pt": ".pth", ".bin": ".pth"}

WRAPPED = ("mae", "swin")
"""Meta's and Microsoft's code look for the tensors of a ``.pth`` file under the key "model"."""

FOUND_BY_NAME = ("model.safetensors", "pytorch_model.bin")
"""Only under these names do libraries look for weights beside a config."""

ABOVE = ("decoder.", "predictor.", "projection.")
"""What a self-supervised model, or CLIP, has above its encoder."""

# Which of it a layout has a place for; the others are made for encoders and classifiers alone.
KEPT_ABOVE = {
    "vitrail": ABOVE,
    "mae": ("decoder.",),
    "huggingface": ("decoder.",),
    "huggingface_2026": ("decoder.",),
    "clip": ("projection.",),
    "clip_huggingface": ("projection.",),
}
FITTED = "decoder.target."
"""Components and tokenizers, which only vitrail keeps with a model."""


@dataclass(frozen=True)
class Conversion:
    """What `convert` did.

    Attributes:
        out: the file written.
        old: the layout the tensors came in.
        new: the layout they are in now.
        tensors: how many were written.
        num_heads: number of heads that was read, known by the size, or given.
        beside: names of the files that were written beside it.
    """

    out: Path
    old: str
    new: str
    tensors: int
    num_heads: int
    beside: tuple[str, ...] = ()

    def __str__(self) -> str:
        beside = f", with {' and '.join(self.beside)} beside it" if self.beside else ""
        return f"wrote {self.tensors} tensors from {self.old} to {self.new} names into {self.out}{beside}"


def convert(
    file: str | Path, to: str, out: str | Path, *, num_heads: int | None = None, encoder_only: bool = False
) -> Conversion:
    """Write the weights of a file under the names and in the layout of another library; no value changes.

    Preprocessing and class names go along inside the file. What the library keeps beside weights is written as well,
    so that it opens the folder: ``config.json`` and ``preprocessor_config.json`` for transformers'
    ``from_pretrained``, ``config.json`` for timm's ``create_model("local-dir:...")`` and for vitrail itself.

    Args:
        file: as for `vitrail.load_weights`.
        to: a key of `vitrail.weights.detect.LAYOUTS`; of a Swin "timm", "huggingface" and "torchvision" mean those
            libraries' Swins.
        out: the folder to write into, or the file: ``.npz`` for Google's layouts, ``.safetensors`` or ``.pth`` for
            all others. A file of that name is replaced when the new one is whole.
        num_heads: number of heads, for layouts that keep heads apart; read from the file or what lies beside it,
            or known by the model's width, where it is absent.
        encoder_only: leave out what a self-supervised model has above its encoder.

    Raises:
        WeightsError: the file cannot be read, the layout is unknown or has no place for some of the tensors, or
            ``out`` cannot be written.
    """
    layout_named(to)
    weights = WeightsFile(file, num_heads)
    _check_has_plain_names(weights)
    weights = weights.without(ABOVE) if encoder_only else weights
    name, layout = layout_for(to, weights.tensors)
    target, kind = _target(path_of(out), to, layout.suffix)
    _check_known_parts(weights)
    _check_heads(weights)
    _check_above(name, weights.tensors)
    try:
        state = layout.from_plain(weights.tensors, weights.num_heads)
    except (RuntimeError, IndexError, KeyError, ValueError) as error:  # tensors that do not belong together
        raise WeightsError(f"{weights.path} is no whole model ({str(error).splitlines()[0]})") from None
    beside = sidecars(name, weights) if target.name in FOUND_BY_NAME else {}
    check_sidecars(target, beside)
    notes = {
        "preprocessing": to_json(weights.preprocessing),
        "num_heads": weights.num_heads,
        "class_names": list(weights.class_names),
    }
    write_state(state, target, kind, notes, wrapped=name in WRAPPED)
    write_sidecars(target, beside)
    return Conversion(target, weights.layout, name, len(state), weights.num_heads, tuple(beside))


def _target(out: Path, to: str, suffix: str) -> tuple[Path, str]:
    """Return the file to write and the format of it: one inside ``out`` unless that is a file's name itself."""
    target = out if out.suffix else out / f"model{suffix}"
    kind = SUFFIXES.get(target.suffix)
    if kind is None or (kind == ".npz") != (suffix == ".npz"):
        fitting = ".npz" if suffix == ".npz" else ".safetensors or .pth"
        raise WeightsError(f"{target} cannot hold the layout {to!r}; give a folder, or a name that ends in {fitting}")
    return target, kind


def _check_has_plain_names(weights: WeightsFile) -> None:
    """Refuse detectors and segmenters: some of their tensors would get the same plain name, and one be lost."""
    if weights.described_spec and is_dense(weights.described_spec):
        raise WeightsError(
            f"{weights.source} is a {title_of(weights.described_spec)}, for which no other library has a layout; "
            "vitrail.open_checkpoint opens it"
        )


def _check_known_parts(weights: WeightsFile) -> None:
    """Refuse tensors of other families: under another library's names they would be taken for what they are not."""
    if parts := unknown_parts(weights.tensors):
        raise WeightsError(f"{weights.path} cannot be converted: {parts}")


def _check_heads(weights: WeightsFile) -> None:
    heads, width = weights.num_heads, weights.shape["width"]
    if heads < 1 or width % heads:
        raise WeightsError(f"{heads} heads do not divide the width {width}; give num_heads")


def _check_above(layout: str, plain: State) -> None:
    kept = KEPT_ABOVE.get(layout, ())
    left = [
        n
        for n in plain
        if n.startswith(ABOVE) and not (n.startswith(kept) and (layout == "vitrail" or FITTED not in n))
    ]
    if left:
        raise WeightsError(
            f"the layout {layout} has no place for {len(left)} tensors above the encoder ({left[0]}, ...); "
            "--encoder-only leaves out all that is there"
        )


def write_state(state: State, out: Path, kind: str, notes: dict[str, Any], wrapped: bool = False) -> None:
    """Write tensors to ``out``, whole or not at all.

    Args:
        state: the tensors.
        out: the file.
        kind: ``.safetensors``, ``.npz`` or ``.pth``.
        notes: what `vitrail.weights.reader.read_notes` shall find.
        wrapped: put the tensors of a ``.pth`` file under the key "model".

    Raises:
        WeightsError: it cannot be written.
    """
    unfinished = out.with_name(out.name + ".tmp")
    state = {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if kind == ".safetensors":
            save_file(state, unfinished, metadata={"format": "pt", NOTES: json.dumps(notes)})
        else:
            _write_npz(state, unfinished) if kind == ".npz" else torch.save(
                {"model": state} if wrapped else state, unfinished
            )
            with zipfile.ZipFile(unfinished, "a") as archive:
                archive.comment = json.dumps(notes).encode()
        share(unfinished)
        unfinished.replace(out)
    except (OSError, RuntimeError) as error:
        unfinished.unlink(missing_ok=True)
        raise WeightsError(f"{out} cannot be written ({str(error).splitlines()[0]})") from None


def _write_npz(state: State, out: Path) -> None:
    # numpy.savez takes names as keyword arguments and appends .npz to the file's name.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in state.items():
            stream = io.BytesIO()
            np.lib.format.write_array(stream, _array(tensor), allow_pickle=False)
            archive.writestr(f"{name}.npy", stream.getvalue())


def _array(tensor: Tensor) -> np.ndarray:
    """TensorTransform a tensor into an array; bfloat16, for which NumPy has no name, becomes raw pairs of bytes."""
    return tensor.view(torch.int16).numpy().view("V2") if tensor.dtype is torch.bfloat16 else tensor.numpy()
