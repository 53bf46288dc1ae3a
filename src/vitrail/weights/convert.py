"""From any layout to any other, by way of plain names."""

from __future__ import annotations

import io
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from vitrail.config import Preprocessing, to_json
from vitrail.errors import WeightsError
from vitrail.layers.block import NORM_EPS
from vitrail.models.vit import SIZES
from vitrail.weights.detect import layout_named, to_plain
from vitrail.weights.files import NOTES, State, find_file, read_notes, read_state
from vitrail.weights.load import weights_file
from vitrail.weights.plain import Shape, shape_of
from vitrail.weights.preprocessing import by_layout, said

DECODER_HEAD_WIDTH = 32
"""Channels a head in MAE's decoders."""

HEAD_WIDTH = 64
"""Channels a head in nearly all published models, where neither file nor size says the number of heads."""

SUFFIXES = {".safetensors": ".safetensors", ".npz": ".npz", ".pth": ".pth", ".pt": ".pth", ".bin": ".pth"}


@dataclass(frozen=True)
class Conversion:
    """What `convert` did.

    Attributes:
        out: the file written.
        old: the layout the tensors came in.
        new: the layout they are in now.
        tensors: how many were written.
        num_heads: number of heads that was read, known by the size, or given.
    """

    out: Path
    old: str
    new: str
    tensors: int
    num_heads: int

    def __str__(self) -> str:
        return f"wrote {self.tensors} tensors from {self.old} to {self.new} names into {self.out}"


def convert(file: str | Path, to: str, out: str | Path, *, num_heads: int | None = None) -> Conversion:
    """Write the weights of a file under the names and in the layout of another library; no value changes.

    The preprocessing goes along inside the file. One in Hugging Face's layout gets ``config.json`` and
    ``preprocessor_config.json`` beside it, unless there are any, so that transformers loads its folder.

    Args:
        file: as for `vitrail.load_weights`.
        to: a key of `vitrail.weights.detect.LAYOUTS`.
        out: the file to write: ``.npz`` for Google's layouts, ``.safetensors`` or ``.pth`` for all others.
            A file of that name is replaced when the new one is whole.
        num_heads: number of heads, for layouts that keep heads apart; read from the file or known by the
            model's width where it is absent.

    Raises:
        WeightsError: the file cannot be read, the layout is unknown or has no place for some of the tensors, or
            ``out`` cannot be written.
    """
    layout, target = layout_named(to), Path(out).expanduser()
    kind = SUFFIXES.get(target.suffix)
    if kind is None or (kind == ".npz") != (layout.suffix == ".npz"):
        fitting = ".npz" if layout.suffix == ".npz" else ".safetensors or .pth"
        raise WeightsError(f"{target} cannot hold the layout {to!r}; give it a name that ends in {fitting}")
    source = find_file(weights_file(file))
    plain = to_plain(read_state(source), str(source))
    noted = read_notes(source).get("num_heads")
    heads = num_heads or plain.num_heads or (noted if isinstance(noted, int) else known_heads(shape_of(plain.state)))
    if heads < 1 or shape_of(plain.state).width % heads:
        raise WeightsError(f"{heads} heads do not divide the width {shape_of(plain.state).width}; give num_heads")
    # The new names would stand for another preprocessing, so the old one goes along.
    preprocessing = (said(source) or by_layout(plain)).preprocessing
    beside: dict[str, dict[str, Any]] = {}
    try:
        state = layout.from_plain(plain.state, heads)
        if to.startswith("huggingface"):
            beside["config.json"] = huggingface_config(plain.state, heads)
            beside["preprocessor_config.json"] = huggingface_processor(preprocessing)
    except (RuntimeError, IndexError, KeyError, ValueError) as error:  # tensors that do not belong together
        raise WeightsError(f"{source} is no whole model ({str(error).splitlines()[0]})") from None
    write_state(state, target, kind, {"preprocessing": to_json(preprocessing), "num_heads": heads})
    for name, content in beside.items():
        _write_beside(target, name, content)
    return Conversion(target, plain.layout, to, len(state), heads)


def known_heads(shape: Shape) -> int:
    """Return the number of heads of a published model of this width and depth, else one for 64 channels."""
    for config in SIZES.values():
        if (config.width, config.depth) == (shape.width, shape.depth):
            return config.num_heads
    return max(1, shape.width // HEAD_WIDTH)


def write_state(state: State, out: Path, kind: str, notes: dict[str, Any]) -> None:
    """Write tensors to ``out``, whole or not at all.

    Args:
        state: the tensors.
        out: the file.
        kind: ``.safetensors``, ``.npz`` or ``.pth``.
        notes: what `vitrail.weights.files.read_notes` shall find.

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
            _write_npz(state, unfinished) if kind == ".npz" else torch.save(state, unfinished)
            with zipfile.ZipFile(unfinished, "a") as archive:
                archive.comment = json.dumps(notes).encode()
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
    """Turn a tensor into an array; bfloat16, for which NumPy has no name, becomes raw pairs of bytes."""
    return tensor.view(torch.int16).numpy().view("V2") if tensor.dtype is torch.bfloat16 else tensor.numpy()


def _write_beside(file: Path, name: str, content: dict[str, Any]) -> None:
    """Write a JSON file into the folder of another, unless there is one of that name."""
    path = file.with_name(name)
    if not path.exists():
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def huggingface_config(state: State, num_heads: int) -> dict[str, Any]:
    """Return what ``config.json`` holds for a model of transformers, from tensors under plain names."""
    shape = shape_of(state)
    config: dict[str, Any] = {
        "architectures": ["ViTForImageClassification" if shape.classes else "ViTModel"],
        "model_type": "vit",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": num_heads,
        "intermediate_size": state["blocks.0.mlp.fc1.weight"].shape[0],
        "hidden_act": "gelu",
        "layer_norm_eps": NORM_EPS,
        "image_size": math.isqrt(max(0, shape.places - 1)) * shape.patch_size,
        "patch_size": shape.patch_size,
        "num_channels": shape.channels,
        "qkv_bias": True,
    }
    if shape.classes:
        config["id2label"] = {str(i): f"LABEL_{i}" for i in range(shape.classes)}
        config["label2id"] = {f"LABEL_{i}": i for i in range(shape.classes)}
    if shape.decoder_depth:
        width = state["decoder.mask_token"].shape[-1]
        config |= {
            "architectures": ["ViTMAEForPreTraining"],
            "model_type": "vit_mae",
            "decoder_hidden_size": width,
            "decoder_num_hidden_layers": shape.decoder_depth,
            "decoder_num_attention_heads": max(1, width // DECODER_HEAD_WIDTH),
            "decoder_intermediate_size": state["decoder.blocks.0.mlp.fc1.weight"].shape[0],
        }
    return config


def huggingface_processor(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return what ``preprocessor_config.json`` holds for transformers' image processors."""
    height, width = preprocessing.image_size
    said: dict[str, Any] = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width},
        "resample": 3,  # bicubic
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
    }
    if preprocessing.resize == "crop":
        said |= {
            "image_processor_type": "BitImageProcessor",
            "size": {"shortest_edge": round(min(height, width) / preprocessing.crop_share)},
            "do_center_crop": True,
            "crop_size": {"height": height, "width": width},
        }
    return said
