"""Where a model computes and how: one value, by which ``--device`` means the same to every command."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from vitrail.errors import ConfigError
from vitrail.training import distributed
from vitrail.training.measure import device_of
from vitrail.training.precision import Precision, keep_large_buffers, resolve
from vitrail.training.precision import device as pick_device


class Asked(Protocol):
    """Settings that say where to compute; those of a run may ask for a compiled model, too."""

    @property
    def device(self) -> str:
        """auto, cpu, cuda, cuda:1 or mps."""
        ...

    @property
    def precision(self) -> str:
        """auto, bf16, fp16 or fp32."""
        ...


@dataclass(frozen=True)
class Runtime:
    """Where a model computes, and how.

    Attributes:
        device: of this process; under torchrun, of several GPUs its own.
        precision: of the forward pass.
        compile: whether torch.compile makes one program of what is trained.
    """

    device: torch.device
    precision: Precision
    compile: bool = False

    @classmethod
    def of(cls, asked: Asked) -> Runtime:
        """Return what settings ask for.

        Raises:
            ConfigError: there is no such device, or it does not compute in this precision; or a model is to be compiled
                for a CPU and nothing here can.
        """
        return cls.named(asked.device, asked.precision, compile=getattr(asked, "compile", False))

    @classmethod
    def named(cls, device: str = "auto", precision: str = "auto", *, compile: bool = False) -> Runtime:
        """Return a runtime by the names that ``--device`` and ``--precision`` take.

        Raises:
            ConfigError: as for `of`.
        """
        found = pick_device(device, distributed.local_rank())
        if compile:
            _check_compiler(found)
        return cls(found, resolve(precision, found), compile)

    @classmethod
    def where(cls, model: nn.Module) -> Runtime:
        """Return where a model lies, in fp32: what is drawn of it is computed there, and as exactly as can be."""
        found = device_of(model)
        return cls(found, resolve("fp32", found))

    def __str__(self) -> str:
        """Say device and precision, and how many processes there are where there are several."""
        world = distributed.world()
        return f"{self.device}, {self.precision.name}{f', {world} processes' if world > 1 else ''}"

    @property
    def hardware(self) -> str:
        """What the device is called."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type

    @property
    def threads(self) -> int:
        """How many threads compute where the CPU does."""
        return torch.get_num_threads()

    @property
    def pins_memory(self) -> bool:
        """Whether batches get to the device faster from pinned memory."""
        return self.device.type == "cuda"

    def prepared(self) -> Runtime:
        """Make this process ready for many batches, and return the runtime (`keep_large_buffers` says how)."""
        keep_large_buffers()
        return self

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in the precision where it is safe, in fp32 elsewhere."""
        return self.precision.autocast()

    def compiled(self, module: nn.Module) -> nn.Module:
        """Return a module compiled where that is asked for, else as it is."""
        return torch.compile(module) if self.compile else module  # type: ignore[return-value]


def _check_compiler(device: torch.device) -> None:
    """Refuse to compile without what torch.compile calls for a CPU: else it fails in the first step, with a page."""
    known = (*filter(None, [os.environ.get("CXX")]), "c++", "g++", "clang++")
    if device.type == "cpu" and not any(shutil.which(name.split()[0]) for name in known if name.split()):
        raise ConfigError(
            "--run.compile needs a C++ compiler on a CPU, and neither g++ nor clang++ is here; leave it out"
        )


__all__ = ["Runtime"]
