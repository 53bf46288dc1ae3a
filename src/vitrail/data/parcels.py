"""How a data worker's batch travels: what is large in shared memory, all else by value.

A tensor in shared memory costs a file descriptor for as long as it lives, and room in /dev/shm, which containers keep
small; a batch of detections has hundreds of small ones. Where there is no room, or there are few descriptors, large
tensors travel by value too, which is slower and always works.
"""

from __future__ import annotations

import io
import os
import pickle
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

LARGE = 1 << 18
"""Bytes from which on a tensor is put into shared memory."""
SHARED_MEMORY = "/dev/shm"
SPARE = 1 << 20
"""Bytes of shared memory that stay free."""


@dataclass
class Parcel:
    """A batch on its way to the main process: the bytes of a pickle, and the tensors that it refers to by number."""

    value: bytes
    shared: list[Tensor]

    def unpacked(self) -> Any:
        """Return the batch."""
        return _Unpacker(io.BytesIO(self.value), self.shared).load()

    def pin_memory(self) -> Any:
        """Return the batch with its tensors in memory from which they are copied to a GPU faster."""
        return _pinned(self.unpacked())


def pack(batch: Any, share: bool) -> Parcel:
    """Pack a batch in a data worker; ``share`` allows shared memory for large tensors."""
    file, shared = io.BytesIO(), []
    _Packer(file, shared if share else None).dump(batch)
    return Parcel(file.getvalue(), shared)


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, shared: list[Tensor] | None) -> None:
        super().__init__(file, protocol=5)
        self._shared = shared

    def persistent_id(self, obj: Any) -> int | None:
        if self._shared is None or not isinstance(obj, Tensor) or obj.nbytes < LARGE or not _share(obj):
            return None
        self._shared.append(obj)
        return len(self._shared) - 1

    def reducer_override(self, obj: Any) -> Any:
        """Take the bytes of a plain tensor, faster than torch's own way, which makes an archive of each."""
        if type(obj) is Tensor and obj.device.type == "cpu" and not obj.requires_grad and obj.dtype in _NUMPYS:
            return torch.from_numpy, (obj.contiguous().numpy(),)
        return NotImplemented


_NUMPYS = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.float32, torch.float64}


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, shared: list[Tensor]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: int) -> Tensor:
        return self._shared[pid]


def _share(tensor: Tensor) -> bool:
    """Move a tensor into shared memory; tell whether there was room for it."""
    if tensor.device.type != "cpu" or not _has_room(tensor.nbytes):
        return False
    try:
        tensor.share_memory_()
    except (RuntimeError, OSError):  # No room after all, or no descriptor.
        return False
    return True


def _has_room(wanted: int) -> bool:
    """Ask before torch writes: where memory is full, writing to it kills the process (SIGBUS)."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:  # There is no such folder: shared memory is another matter here.
        return True
    worker = get_worker_info()
    return status.f_bavail * status.f_frsize >= wanted * (worker.num_workers if worker else 1) + SPARE


def _pinned(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.pin_memory()
    if isinstance(value, dict):
        return {name: _pinned(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_pinned(part) for part in value)
    return value


__all__ = ["Parcel", "pack"]
