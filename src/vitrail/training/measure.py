"""Evaluation: what a task measures, added up over batches and processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from vitrail.training.distributed import sum_pairs
from vitrail.training.interfaces import Batch, Task


def measure(task: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """Return ``{name: sum / count}`` of ``task.measure`` over all ``batches`` of all processes.

    Sums and counts add up exactly whatever the batch size and however the images are shared out. Where they are
    vectors, of a figure for each class, the result is the mean over the classes that were counted at all. The
    task is put into evaluation mode and afterwards back into the mode it was in.
    """
    return {name: mean_of_ratios(*pair) for name, pair in add_up(task, batches).items()}


Each = Callable[[Batch, Mapping[str, tuple[Tensor, Tensor]]], None]
"""Is given a batch and what was measured of it."""


def add_up(
    task: nn.Module, batches: Iterable[Batch], each: Each | None = None
) -> dict[str, tuple[list[float], list[float]]]:
    """Return the sums and the counts of ``task.measure`` over all ``batches`` of all processes, by name.

    A single number is a list of one.

    Args:
        task: what measures.
        batches: of this process.
        each: follows batch by batch, where it is of interest too.
    """
    device = device_of(task)
    totals: dict[str, Tensor] = {}
    training = task.training
    task.eval()
    with torch.inference_mode():
        for batch in batches:
            measured = cast(Task, task).measure(to_device(batch, device))
            if each is not None:
                each(batch, measured)
            for name, pair in measured.items():
                exact = torch.stack([_exact(value, device) for value in pair])
                totals[name] = totals[name] + exact if name in totals else exact
    task.train(training)
    return sum_pairs({name: tuple(total.tolist()) for name, total in totals.items()})


def mean_of_ratios(sums: Sequence[float], counts: Sequence[float]) -> float:
    """Return the mean of ``sum / count`` over those with a count; nan where none has one."""
    ratios = [total / count for total, count in zip(sums, counts, strict=True) if count]
    return math.fsum(ratios) / len(ratios) if ratios else math.nan


def _exact(value: Tensor | float, device: torch.device) -> Tensor:
    """Return a number or a vector of them as float64, which adds whole numbers up to 2^53 exactly: ``(N,)``."""
    # Apple's GPUs have no float64.
    home = torch.device("cpu") if device.type == "mps" else device
    return torch.as_tensor(value, device=home).to(torch.float64).reshape(-1)


def device_of(task: nn.Module) -> torch.device:
    """Return the device of the first parameter or buffer, the CPU where there is none."""
    for tensor in (*task.parameters(), *task.buffers()):
        return tensor.device
    return torch.device("cpu")


def to_device(batch: Batch, device: torch.device) -> dict[str, Any]:
    """Copy a batch's tensors, and views of images, to ``device`` without waiting; everything else stays as it is."""
    return {name: _moved(value, device) for name, value in batch.items()}


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    return tuple(_moved(part, device) for part in value) if isinstance(value, tuple) else value
