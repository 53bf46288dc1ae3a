"""Several processes that train one model, as ``torchrun`` starts them; without it every call is trivial."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from vitrail.errors import ConfigError, TrainingError, VitrailError
from vitrail.training import watch

T = TypeVar("T")

LONGEST_WAIT = timedelta(days=2)
"""How long a process waits for the others at most: the main one may prepare for hours."""


@contextmanager
def processes() -> Iterator[None]:
    """Join the processes that ``torchrun`` started, and leave them cleanly at the end of the ``with`` block.

    Tensors on the CPU travel by gloo, those on a GPU by NCCL. Nothing happens without ``torchrun`` or when
    the processes are joined already.
    """
    if "RANK" not in os.environ or dist.is_initialized():
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank() % torch.cuda.device_count())
    # Others may prepare for long; one that is stopped or gone is found by its silence while training (`watched`).
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield
    except VitrailError as error:
        watch.leave_word(str(error))
        raise
    except RuntimeError as error:
        if not watch.is_broken(error):
            raise
        message = watch.sentence("another process ended")
        watch.leave_word(message)
        raise TrainingError(message) from error
    finally:
        dist.destroy_process_group()


@contextmanager
def watched(limit: float) -> Iterator[None]:
    """Watch the other processes inside a ``with`` block: one that is stopped or killed is named.

    Args:
        limit: seconds without a sign of life after which a process counts as stopped; this one then ends.

    Raises:
        TrainingError: another process ended.
    """
    try:
        with watch.watched(rank(), world(), limit):
            yield
    except ConnectionAbortedError as error:
        raise TrainingError(str(error)) from error


def rank() -> int:
    """Return this process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_rank() -> int:
    """Return this process's number on its machine, from 0: which GPU is its own."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Tell whether this process is the one that writes files and talks."""
    return rank() == 0


def check_alone(command: str) -> None:
    """Refuse several processes to a command that one does: each would write the same files.

    Raises:
        ConfigError: ``torchrun`` started more than one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(f"vitrail {command} runs in one process; start it without torchrun")


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        dist.barrier()


def gather(value: T) -> list[T]:
    """Return every process's ``value`` (anything that can be pickled), in the order of the ranks."""
    if world() == 1:
        return [value]
    values: list[T | None] = [None] * world()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def sum_over_processes(values: Mapping[str, float]) -> dict[str, float]:
    """Add up ``values`` name by name over the processes; a name may be missing on some of them."""
    total: dict[str, float] = {}
    for part in gather(dict(values)):
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total


def mean_over_processes(pairs: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Turn ``{name: (sum, count)}`` into means over the processes; nan where nothing was counted."""
    sums = sum_over_processes({name: total for name, (total, _) in pairs.items()})
    counts = sum_over_processes({name: count for name, (_, count) in pairs.items()})
    return {name: total / counts[name] if counts[name] else math.nan for name, total in sums.items()}


def sum_pairs(pairs: Mapping[str, tuple[list[float], list[float]]]) -> dict[str, tuple[list[float], list[float]]]:
    """Add up ``{name: (sums, counts)}`` place by place over the processes; a name may be missing on some of them."""
    total: dict[str, tuple[list[float], list[float]]] = {}
    for part in gather(dict(pairs)):
        for name, (sums, counts) in part.items():
            before = total.get(name, ([0.0] * len(sums), [0.0] * len(counts)))
            total[name] = (
                [a + b for a, b in zip(before[0], sums, strict=True)],
                [a + b for a, b in zip(before[1], counts, strict=True)],
            )
    return total


def largest(*values: int) -> list[int]:
    """Return the largest of each value over the processes; they travel by the CPU, no GPU is waited for."""
    if world() == 1:
        return list(values)
    tensor = torch.tensor(values)
    dist.all_reduce(tensor, dist.ReduceOp.MAX)
    return tensor.tolist()


def parallel(task: nn.Module, device: torch.device) -> nn.Module:
    """Wrap ``task`` so that its gradients are averaged over the processes during ``backward``.

    Frozen parameters take no part; every trainable one must contribute to the loss.
    """
    if world() == 1:
        return task
    device_ids = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(task, device_ids=device_ids, gradient_as_bucket_view=True)


def share_buffers(task: nn.Module) -> None:
    """Give every process the main process's buffers (running statistics), as its checkpoint holds them."""
    if world() > 1:
        for buffer in task.buffers():
            dist.broadcast(buffer, src=0)
