"""Evaluation: what a task measures, added up over batches and processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from vitrail.training.distributed import mean_over_processes
from vitrail.training.protocols import Batch, Task


def measure(task: nn.Module, batches: Iterable[Batch]) -> dict[str, float]:
    """Return ``{name: sum / count}`` of ``task.measure`` over all ``batches`` of all processes.

    Sums and counts add up exactly whatever the batch size and however the pictures are shared out. The
    task is put into evaluation mode and afterwards back into the mode it was in.
    """
    device = device_of(task)
    exact = torch.float32 if device.type == "mps" else torch.float64
    totals: dict[str, Tensor] = {}
    training = task.training
    task.eval()
    with torch.inference_mode():
        for batch in batches:
            for name, pair in cast(Task, task).measure(to_device(batch, device)).items():
                pair = torch.stack([torch.as_tensor(value, dtype=exact, device=device) for value in pair])
                totals[name] = totals[name] + pair if name in totals else pair
    task.train(training)
    return mean_over_processes({name: tuple(total.tolist()) for name, total in totals.items()})


def device_of(task: nn.Module) -> torch.device:
    """Return the device of the first parameter or buffer, the CPU where there is none."""
    for tensor in (*task.parameters(), *task.buffers()):
        return tensor.device
    return torch.device("cpu")


def to_device(batch: Batch, device: torch.device) -> dict[str, Any]:
    """Copy a batch's tensors to ``device`` without waiting; everything else stays as it is."""
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
