"""SHA-256 of weights: of the file, as ``sha256sum`` prints it, and of the tensors, whatever file they lie in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vitrail.errors import WeightsError

CHUNK = 1 << 20
INDEX = ".index.json"
"""The end of the name of a file that names the shards of a model."""


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        WeightsError: it cannot be read.
    """
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(CHUNK):
                found.update(part)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from None
    return found.hexdigest()


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files that hold the weights: the file itself, or of an index of shards those it names, in order.

    Raises:
        WeightsError: the index cannot be read.
    """
    if not path.name.endswith(INDEX):
        return (path,)
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no index of shards ({error})") from None
    return tuple(path.parent / Path(name).name for name in names)


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return one SHA-256 for all tensors of a model, 64 hexadecimal digits, the same in whatever file they lie.

    It is that of, for each tensor by the order of the names, the line ``NAME DTYPE SHAPE\\n`` (as ``norm.weight
    float32 192\\n`` or ``head.weight float32 10x192\\n``) and its bytes, row by row, little-endian.
    """
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        kind, shape = str(tensor.dtype).removeprefix("torch."), "x".join(map(str, tensor.shape))
        found.update(f"{name} {kind} {shape}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


__all__ = ["file_sha256", "files_of", "tensors_sha256"]
