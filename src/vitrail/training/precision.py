"""Which device computes, and in how many bits."""

from __future__ import annotations

import ctypes
import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from vitrail.errors import ConfigError

# mallopt's parameters, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
KEPT_BYTES = 1 << 30
PADDING_BYTES = 64 << 20


@dataclass(frozen=True)
class Precision:
    """The number format of the forward pass; weights, gradients and moments stay fp32."""

    name: Literal["bf16", "fp16", "fp32"]
    reason: str
    """Why this one, in a few words for the user."""
    device_type: str

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in this precision where it is safe (matrix products), in fp32 elsewhere."""
        dtype = torch.float16 if self.name == "fp16" else torch.bfloat16
        return torch.autocast(self.device_type, dtype, enabled=self.name != "fp32")


def resolve(precision: str, device: torch.device) -> Precision:
    """Choose the precision on ``device``: as asked, or for ``auto`` bf16 where the hardware computes in it.

    Raises:
        ConfigError: the precision is unknown, or fp16 is asked for elsewhere than on a CUDA device.
    """
    if precision == "auto":
        name, reason = _best(device)
    elif precision == "fp16" and device.type != "cuda":
        raise ConfigError(f"precision fp16 works on CUDA devices only, not on {device.type}; use auto")
    elif precision in ("bf16", "fp16", "fp32"):
        name, reason = precision, "as asked"
    else:
        raise ConfigError(f"precision {precision!r} is none of auto, bf16, fp16, fp32")
    return Precision(name, reason, device.type)  # type: ignore[arg-type]


def _best(device: torch.device) -> tuple[str, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        name = "bf16" if major >= 8 else "fp32"
        return name, f"CUDA capability {major}.{minor}"
    if device.type == "cpu":
        if torch.cpu._is_amx_tile_supported():
            return "bf16", "the CPU has AMX"
        if torch.cpu._is_avx512_bf16_supported():
            return "bf16", "the CPU has AVX512-BF16"
        return "fp32", "the CPU has no bf16 arithmetic"
    return "fp32", f"the safe choice on {device.type}"


def device(name: str = "auto", local_rank: int = 0) -> torch.device:
    """Find the device ``name``; ``auto`` is the process's own GPU, else Apple's, else the CPU.

    Raises:
        ConfigError: the name is unknown, or this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps") from None
    if found.type == "cuda":
        return _cuda(found, local_rank)
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device mps was asked for, but torch finds none; use auto")
    return found


def _cuda(found: torch.device, local_rank: int) -> torch.device:
    index = local_rank if found.index is None else found.index
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"device cuda:{index} was asked for, but torch finds {torch.cuda.device_count()} CUDA devices"
        )
    return torch.device("cuda", index)


def keep_large_buffers() -> bool:
    """Tell glibc's allocator to keep large freed buffers rather than return them to the kernel.

    A training step allocates the same large activations again and again; each return costs page faults
    (measured on 2 cores: a Swin-T forward went from 244 to 160 ms). Elsewhere than on glibc nothing is done.

    Returns:
        Whether the allocator took the settings.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_THRESHOLD: KEPT_BYTES, M_TRIM_THRESHOLD: KEPT_BYTES, M_TOP_PAD: PADDING_BYTES}
    taken = [mallopt(parameter, value) for parameter, value in settings.items()]
    return all(taken)
