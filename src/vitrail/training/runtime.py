"""Where a model computes and in how many bits: one value, by which ``--device`` means the same to every command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from vitrail.training import distributed
from vitrail.training.measure import device_of
from vitrail.training.precision import Precision, resolve
from vitrail.training.precision import device as pick_device


class Asked(Protocol):
    """Settings that say where to compute."""

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
    """Where a model computes, and in how many bits.

    Attributes:
        device: of this process; under torchrun, of several GPUs its own.
        precision: of the forward pass.
    """

    device: torch.device
    precision: Precision

    @classmethod
    def of(cls, asked: Asked) -> Runtime:
        """Return what settings ask for.

        Raises:
            ConfigError: there is no such device, or it does not compute in this precision.
        """
        return cls.named(asked.device, asked.precision)

    @classmethod
    def named(cls, device: str = "auto", precision: str = "auto") -> Runtime:
        """Return a runtime by the names that ``--device`` and ``--precision`` take.

        Raises:
            ConfigError: there is no such device, or it does not compute in this precision.
        """
        found = pick_device(device, distributed.local_rank())
        return cls(found, resolve(precision, found))

    @classmethod
    def where(cls, model: nn.Module) -> Runtime:
        """Return where a model lies, in fp32: what is drawn of it is computed there, and as exactly as can be."""
        found = device_of(model)
        return cls(found, resolve("fp32", found))


__all__ = ["Runtime"]
