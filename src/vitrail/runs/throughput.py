"""How fast a machine learns what is planned: steps of the model, and images from the loader, both measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from vitrail.config import replace
from vitrail.runs.run_training import Plan, train_batches
from vitrail.training.learner import Learner
from vitrail.training.runtime import Runtime

SMALLEST = 8
"""Images in the first batch that is tried; the others are doublings."""

FEWEST = 2
"""Steps timed of every batch, however long they take; one more comes before, in which memory is taken."""

MIN_SIZES_TRIED = 3
"""Sizes that are tried however long it takes."""

MIN_SPEED_UP = 1.05
"""A larger forward pass has to be faster by this factor to be worth its memory."""


@dataclass(frozen=True)
class Throughput:
    """What was measured.

    Attributes:
        model: images a second that the model learns from, forward, backward and the optimizer's step, at its best.
        loader: images a second that come from the disk, decoded and augmented.
        workers: processes that load; with none, loading and learning take turns.
        best: images in the forward pass that is fastest.
        by_batch: images a second by the size of the forward pass.
        ran_out: the size for which memory did not suffice; 0: it did for all.
        device: what computed.
        precision: in what.
    """

    model: float
    loader: float
    workers: int
    best: int
    by_batch: dict[int, float] = field(default_factory=dict)
    ran_out: int = 0
    device: str = "cpu"
    precision: str = "fp32"

    @property
    def both(self) -> float:
        """Return images a second of training: the slower of both, or one after the other without workers."""
        if not self.workers:
            return 1 / (1 / self.model + 1 / self.loader)
        return min(self.model, self.loader)

    @property
    def bottleneck(self) -> str:
        """Return what the other one waits for."""
        return "loader" if self.loader < self.model else "model"


def measure_throughput(plan: Plan, batch_size: int, seconds: float) -> Throughput:
    """Time steps of the planned task at several sizes, and its loader.

    Args:
        plan: what is to be trained; its weights are changed.
        batch_size: the largest forward pass tried.
        seconds: about how long to measure, a third of it the loader.
    """
    run = plan.settings.run
    runtime = Runtime.of(run).prepared()
    learner = Learner(plan.task, plan.settings.optim, runtime=runtime, seed=run.seed, steps=1)
    sizes = list(_sizes(batch_size))
    by_batch: dict[int, float] = {}
    ran_out, began = 0, time.monotonic()
    for number, size in enumerate(sizes):
        left = seconds * 2 / 3 - (time.monotonic() - began)
        if by_batch and left <= 0 and len(by_batch) >= MIN_SIZES_TRIED:
            break
        try:
            by_batch[size] = _model_rate(learner, _with_batch(plan, size), max(0.0, left / (len(sizes) - number)))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not by_batch or "memory" not in str(error):
                raise
            ran_out = size
            break
    best = _fastest(by_batch)
    loader, workers = _loader_rate(_with_batch(plan, max(by_batch)), seconds / 3)
    return Throughput(
        by_batch[best], loader, workers, best, by_batch, ran_out, str(runtime.device), runtime.precision.name
    )


def _sizes(largest: int) -> Iterator[int]:
    """Give doublings of `SMALLEST` below ``largest``, and that."""
    size = SMALLEST
    while size < largest:
        yield size
        size *= 2
    yield largest


def _fastest(by_batch: dict[int, float]) -> int:
    """Return the smallest size that no larger one beats by `MIN_SPEED_UP`."""
    best = min(by_batch)
    for size in sorted(by_batch):
        if by_batch[size] > by_batch[best] * MIN_SPEED_UP:
            best = size
    return best


def _with_batch(plan: Plan, size: int) -> Plan:
    run = replace(plan.settings.run, micro_batch=0)
    return replace(plan, settings=replace(plan.settings, batch_size=size, run=run))


def _model_rate(learner: Learner, plan: Plan, seconds: float) -> float:
    """Return the images a second of steps on one batch, again and again."""
    settings: Any = replace(plan.settings, loader=replace(plan.settings.loader, workers=0, cache="off"))
    batches = train_batches(replace(plan, settings=settings))
    micro_batches = next(iter(batches.start()))
    size = batches.batch_size

    def step() -> None:
        learner.learn(micro_batches, step=0, batch_size=size, rate=0.0)
        if learner.device.type == "cuda":
            torch.cuda.synchronize(learner.device)

    step()
    steps, began = 0, time.perf_counter()
    while steps < FEWEST or time.perf_counter() - began < seconds:
        step()
        steps += 1
    return steps * size / (time.perf_counter() - began)


def _loader_rate(plan: Plan, seconds: float) -> tuple[float, int]:
    """Return the images a second that the loader brings, and its workers; the wait for the first is left out."""
    batches = train_batches(plan)
    steps = batches.start()
    next(steps)
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < seconds:
        next(steps)
        count += 1
    rate = count * batches.batch_size / (time.perf_counter() - began)
    return rate, batches.loading.workers
