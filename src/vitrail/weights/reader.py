"""Open weights files without ever running code from them, and without unfolding more than they can hold."""

from __future__ import annotations

import argparse
import json
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy._core import multiarray as npy_multiarray
from numpy.lib import format as npy
from torch import Tensor

from vitrail.errors import WeightsError, nearest
from vitrail.weights.foreign import (
    HEAD,
    SHARD,
    TENSORFLOW,
    shard_of,
    what_address,
    what_archive,
    what_else,
    what_folder,
)
from vitrail.weights.paths import path_of
from vitrail.weights.wrappers import unwrap

State = dict[str, Tensor]

NOTES = "vitrail"
"""Under this name vitrail's notes stand in the metadata of safetensors."""

# The names under which a folder from a model hub holds its weights, best first.
FOLDER_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".npz")
"""Endings of the names of weights files; what is in them is told by content."""

SOLE_SUFFIXES = (".safetensors", ".bin", ".pth", ".npz")

# Weights are noise to a compressor: a real file shrinks by a quarter at most, and one that unfolds to eight
# times its size is a bomb. Below the free allowance (a head of zeros shrinks a lot) nobody is hurt.
LARGEST_UNFOLDING = 8
FREE_UNFOLDING = 64 * 2**20

# A longer JSON header than the safetensors library itself accepts.
LARGEST_HEADER = 100 * 2**20


def read_state(file: str | Path) -> State:
    """Read named tensors; see `read_weights`."""
    return read_weights(file)[0]


def read_weights(file: str | Path) -> tuple[State, str]:
    """Read named tensors, each as the file has it: no name changed, nothing transposed.

    The format is recognised by content, not by name: safetensors; PyTorch (``.pt``, ``.pth``, ``.bin``); NumPy archives
    (``.npz``); a JSON index of shards, or a folder as model hubs have them. PyTorch files are read with
    ``weights_only``, so that nothing in them is executed; the other classes allowed are `argparse.Namespace`,
    which the published MAE files carry, and NumPy's numbers, which training scripts leave beside weights.

    Returns:
        The tensors, and a sentence where the file holds averaged (EMA) weights as well; else "".

    Raises:
        WeightsError: no such file, not a weights file, damaged, hostile, or it holds more than tensors.
    """
    path = find_file(file)
    kind = file_format(path)
    if reason := shard_of(path) if kind != "index" else "":
        raise WeightsError(reason)
    return _read(path, kind)


def _read(path: Path, kind: str) -> tuple[State, str]:
    if kind == "index":
        return _read_shards(path), ""
    if kind == "safetensors":
        return _read_safetensors(path), ""
    if kind == "npz":
        return _read_npz(path), ""
    return _read_pickle(path)


def read_notes(path: Path) -> dict[str, Any]:
    """Return what vitrail wrote about weights into their own file, ``{}`` where it wrote nothing.

    It stands in the metadata of safetensors, and in the comment of the archives of NumPy and PyTorch, where no
    other reader stumbles over it.
    """
    try:
        if file_format(path) == "safetensors":
            from safetensors import safe_open

            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {}).get(NOTES, "{}")
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.comment.decode("utf-8")
        notes = json.loads(text)
    except Exception:  # notes are a convenience; without them the origin's defaults hold
        return {}
    return notes if isinstance(notes, dict) else {}


def find_file(source: str | Path) -> Path:
    """Return the weights file a path means: the file itself, or the one inside a folder from a model hub.

    Raises:
        WeightsError: there is none; the nearest names beside it are given.
    """
    path = path_of(source)
    if path.is_dir():
        for name in FOLDER_FILES:
            if (path / name).is_file():
                return path / name
        files = sorted(found for found in path.iterdir() if found.is_file())
        if sole := sole_weights(file.name for file in files):
            return path / sole
        shard = next((reason for reason in map(shard_of, files) if reason), "")
        other = what_folder(files)
        expected = f"the folder {path} holds no weights{other}; expected {FOLDER_FILES[0]} or a checkpoint in it"
        raise WeightsError(shard or expected)
    if not path.is_file():
        raise WeightsError(why_no_file(str(source), path))
    return path


def sole_weights(names: Iterable[str]) -> str:
    """Return the name of a folder's one weights file, where none is named as libraries name theirs; "" if not one.

    A file that may be a shard of several is none; nor is a ``.pt``, which training keeps other things in.
    """
    readable = sorted(name for name in names if Path(name).suffix in SOLE_SUFFIXES and not SHARD.search(name))
    safe = [name for name in readable if name.endswith(".safetensors")]
    return (safe or readable)[0] if len(safe or readable) == 1 else ""


def why_no_file(source: str, path: Path, others: Iterable[str] = ()) -> str:
    """Say in a sentence why a name stands for no weights file.

    Args:
        source: as it was given.
        path: the same as a path.
        others: names of models that may have been meant, beside the files around the path.
    """
    if reason := what_address(source):
        return reason
    if path.exists():
        return f"{path} is no ordinary file, and was refused"
    if path.with_name(f"{path.name}.index").exists():
        return f"{path} is {TENSORFLOW}"
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, [*siblings, *others])
    return f"{path} does not exist: there is no weights file, checkpoint or run of this name{hint}"


def file_format(path: Path) -> str:
    """Tell a file's format by its content: ``safetensors``, ``npz``, ``pytorch`` or ``index`` (of shards).

    Raises:
        WeightsError: it is none of these.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        if _begins_safetensors(head, path.stat().st_size):
            return "safetensors"
        if head[:2] == b"PK":
            if _holds_arrays(path):
                return "npz"
            if reason := what_archive(path):
                raise WeightsError(f"{path} is {reason}")
            return "pytorch"
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from None
    if head[:1] == b"\x80":
        return "pytorch"
    if head.lstrip()[:1] == b"{" and path.suffix == ".json":
        return "index"
    if not head:
        raise WeightsError(f"{path} is empty; fetch it again")
    if reason := what_else(path, head):
        raise WeightsError(f"{path} is {reason}")
    raise WeightsError(f"{path} is neither safetensors nor PyTorch nor .npz; is it the right file?")


def _begins_safetensors(head: bytes, size: int) -> bool:
    """Whether a file begins as safetensors do: the length of a header that fits into the file, then JSON."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and length <= min(LARGEST_HEADER, size - 8)


def _holds_arrays(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except Exception:  # a damaged zip raises nearly anything; the reader of the format says what is wrong
        return path.suffix == ".npz"


# What the types of safetensors are called in torch.
SAFE_TYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
}


def _read_safetensors(path: Path) -> State:
    """Read tensors into memory of their own.

    A map of the file into memory would cost no less once they are used, and end the process where the file is cut
    short meanwhile, as by a download over it.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt"):
            pass  # the library checks that header and tensors fit together
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            places = sorted(
                ((about["data_offsets"], name, about) for name, about in header.items() if name != "__metadata__"),
                key=lambda place: place[0],
            )
            return {name: _read_tensor(file, 8 + length + begin, about) for (begin, _), name, about in places}
    except Exception as error:
        raise WeightsError(f"{path} is a damaged safetensors file ({_first_line(error)}); fetch it again") from None


def _read_tensor(file: BinaryIO, begin: int, about: dict[str, Any]) -> Tensor:
    """Read one tensor of a safetensors file.

    Raises:
        ValueError: it is of a type that is not known here, or the file ends before it does.
    """
    if about["dtype"] not in SAFE_TYPES:
        raise ValueError(f"it holds values of type {about['dtype']}, which are not read here")
    tensor = torch.empty(about["shape"], dtype=SAFE_TYPES[about["dtype"]])
    if tensor.numel():
        file.seek(begin)
        raw = tensor.reshape(-1).view(torch.uint8).numpy()
        if file.readinto(raw.data) != raw.nbytes:  # type: ignore[attr-defined]
            raise ValueError("it ends before its tensors do")
    return tensor


def _read_shards(index: Path) -> State:
    """Read a checkpoint of several files from its index, ``{"weight_map": {name: file}}``."""
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = {str(name): str(shard) for name, shard in weight_map.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise WeightsError(f"{index} is no index of shards: it has no weight_map from names to files") from None
    state: State = {}
    for shard in sorted(set(names.values())):
        if Path(shard).name != shard:
            raise WeightsError(f"{index} names the shard {shard!r}, which lies outside its folder, and was refused")
        path = index.parent / shard
        if not path.is_file():
            raise WeightsError(f"{index} names the shard {shard!r}, which is not beside it; fetch all of its files")
        if file_format(path) == "index":
            raise WeightsError(f"{index} names {shard!r} as a shard, which is an index itself")
        state.update(_read(path, file_format(path))[0])
    lost = sorted(set(names) - set(state))
    if lost:
        raise WeightsError(f"the shards of {index} lack {len(lost)} tensors it names ({', '.join(lost[:3])})")
    return state


# Numbers of NumPy's, as training scripts leave them beside weights: their types, and what makes one of bytes. They
# were kept under another name before NumPy 2.
NUMPY_NUMBERS: list[Any] = [
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "i1", "u1", "i2", "i4", "i8", "u8", "f2", "f4", "f8")),
    (npy_multiarray.scalar, "numpy.core.multiarray.scalar"),
    (npy_multiarray.scalar, "numpy._core.multiarray.scalar"),
]


def _read_pickle(path: Path) -> tuple[State, str]:
    _check_unfolding(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *NUMPY_NUMBERS]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unusual but harmless versions of pickle
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights" in str(error).lower() or "Unsupported" in str(error):
            raise WeightsError(
                f"{path} holds more than tensors, which could run code when opened, and was refused; "
                "save its state_dict, best as safetensors"
            ) from None
        raise WeightsError(f"{path} is damaged or no PyTorch file ({_first_line(error)})") from None
    except Exception as error:  # a damaged zip or pickle raises nearly anything
        raise WeightsError(f"{path} is damaged or no PyTorch file ({_first_line(error)})") from None
    state, note = unwrap(content, path)
    _check_storage(state, path)
    return state, note


def _check_unfolding(path: Path) -> None:
    """Refuse an archive whose directory says that it unfolds to far more than it holds."""
    try:
        if not zipfile.is_zipfile(path):  # raises for an end record that a mutation has turned into nonsense
            return
        with zipfile.ZipFile(path) as archive:
            unfolded = sum(entry.file_size for entry in archive.infolist())
    except Exception as error:
        raise WeightsError(f"{path} is a damaged archive ({_first_line(error)}); fetch it again") from None
    _check_size(unfolded, path)


def _check_size(size: int, path: Path) -> None:
    held = path.stat().st_size
    if size > max(FREE_UNFOLDING, LARGEST_UNFOLDING * held):
        raise WeightsError(
            f"{path} would unfold from {held:,} to {size:,} bytes, which no real weights do, and was refused"
        )


def _check_storage(state: State, path: Path) -> None:
    """Refuse tensors that no file holds value by value: sparse, quantised, or one number said to be a million."""
    for name, tensor in state.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise WeightsError(f"{path}: {name} is no plain tensor (sparse, quantised or empty of values)")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{path}: {name} claims more values than it holds, and was refused")
    _check_size(sum(t.numel() * t.element_size() for t in state.values()), path)


def _read_npz(path: Path) -> State:
    _check_unfolding(path)
    state: State = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".npy"):
                    with archive.open(entry) as stream:
                        array = _read_npy(stream, entry.file_size)  # type: ignore[arg-type]
                    state[entry.filename.removesuffix(".npy")] = _tensor(array)
    except Exception as error:
        raise WeightsError(f"{path} is a damaged or unusual NumPy archive ({_first_line(error)})") from None
    if not state:
        raise WeightsError(f"{path} holds no arrays")
    return state


def _read_npy(stream: BinaryIO, size: int) -> np.ndarray:
    """Read one array, having compared what its header promises with what is there.

    `numpy.load` would make room for whatever the header says, and unpickle objects if allowed to.

    Raises:
        ValueError: the array holds objects, or another number of bytes than its header says.
    """
    version = npy.read_magic(stream)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if header is None:
        raise ValueError(f"version {version} of the array format is unknown")
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers, and was refused")
    if dtype.kind not in "fiubV" or dtype.subdtype or dtype.names:
        raise ValueError(f"arrays of {dtype} are not weights")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise ValueError(f"an array of shape {shape} says it is larger or smaller than it is")
    raw = np.empty(size - stream.tell(), dtype=np.uint8)
    if raw.nbytes and stream.readinto(raw.data) != raw.nbytes:  # type: ignore[attr-defined]
        raise ValueError("it ends before its values do")
    return raw.view(dtype).reshape(shape, order="F" if fortran else "C")


def _tensor(array: np.ndarray) -> Tensor:
    """TensorTransform an array into a tensor; two raw bytes a value are bfloat16, for which NumPy has no name."""
    if array.dtype.kind == "V":
        if array.dtype.itemsize != 2:
            raise ValueError(f"raw values of {array.dtype.itemsize} bytes are not weights")
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).contiguous()
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False)).contiguous()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
