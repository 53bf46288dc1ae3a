"""PyTorch files of others opened without running code from them, and without unfolding more than they hold."""

from __future__ import annotations

import pickle
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# torch writes its archives without compression: what unfolds to twice its size was not written by it.
LARGEST_UNFOLDING = 2
FREE_UNFOLDING = 64 * 2**20
"""Bytes that may be unfolded in any case."""


def load_plain(path: Path) -> Any:
    """Read tensors, numbers, text, lists and dicts from a PyTorch file onto the CPU; nothing in it is executed.

    Raises:
        ValueError: it holds more than that, would take far more memory than the file, or is no regular file.
        OSError, RuntimeError: it cannot be read; a damaged file leads torch to these, and to others.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a device gives bytes for ever, and a pipe is waited for
        raise ValueError("it is no regular file")
    held = status.st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check(sum(entry.file_size for entry in archive.infolist()), held)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to execute it
        raise ValueError("it is damaged, or holds more than tensors, numbers and text, and was refused") from None
    _check(sum(tensor.numel() * tensor.element_size() for tensor in _tensors(content)), held)
    return content


def _check(size: int, held: int) -> None:
    if size > max(FREE_UNFOLDING, LARGEST_UNFOLDING * held):
        raise ValueError(f"it would unfold from {held:,} to {size:,} bytes, and was refused")


def _tensors(content: Any) -> Iterator[Tensor]:
    """Go through all tensors in what was read."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if isinstance(value, dict) else value)
