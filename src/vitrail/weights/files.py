"""Open weights files without ever running code from them."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail.errors import WeightsError, nearest

WRAPPERS = ("model", "state_dict", "module", "model_state", "teacher")


def read_state(file: str | Path) -> dict[str, Tensor]:
    """Read a file of named tensors: ``.safetensors``, or a pickle of tensors (``.pt``, ``.pth``, ``.bin``).

    The format is told by content, not by name. Pickles are read with ``weights_only``, so that nothing in them
    is executed; the one other class allowed is `argparse.Namespace`, which published MAE files carry.

    Raises:
        WeightsError: no such file, not a weights file, damaged, or it holds more than tensors.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise WeightsError(f"there is no weights file {path}{nearest(path.name, siblings)}")
    with path.open("rb") as stream:
        head = stream.read(16)
    if is_safetensors(head):
        return _read_safetensors(path)
    if is_numpy_archive(path):
        raise WeightsError(f"{path} is a NumPy archive (.npz); this layout is not supported yet")
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return _unwrap(_read_pickle(path), path)
    raise WeightsError(f"{path} is neither a safetensors file nor a PyTorch file; is it the right one?")


def is_safetensors(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a safetensors file: a length, then JSON."""
    return len(head) >= 9 and head[8:9] == b"{"


def is_numpy_archive(path: Path) -> bool:
    """Whether a file is a zip of ``.npy`` arrays."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".npy") for name in archive.namelist()[:3])


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is a damaged safetensors file ({_first_line(error)}); fetch it again") from None


def _read_pickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "WeightsUnpickler" in str(error) or "Unsupported" in str(error):
            raise WeightsError(
                f"{path} holds more than tensors, which could run code when opened, and was refused; "
                "save its state_dict, best as safetensors"
            ) from None
        raise WeightsError(f"{path} is damaged or no PyTorch file ({_first_line(error)})") from None
    except Exception as error:  # a damaged zip or pickle raises nearly anything
        raise WeightsError(f"{path} is damaged or no PyTorch file ({_first_line(error)})") from None


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the state dict inside what a training script saved around it."""
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            return _unwrap(content[key], path)
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a dict of named tensors")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{path} holds no tensors; its keys are {', '.join(map(str, list(content)[:5])) or 'none'}")
    return tensors


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
