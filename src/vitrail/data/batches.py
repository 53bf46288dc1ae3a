"""Batches that depend on seed, epoch and step alone: not on workers, processes, or where a run was resumed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from vitrail.data.samples import Key, Sample, Samples, seed_of
from vitrail.data.workers import STOPPED_AFTER, load
from vitrail.errors import ConfigError, DataError, ImageError, VitrailError

Batch = dict[str, Any]
TrainSlot = tuple[int, list[Key]]
"""The position of a micro-batch in its global batch, and the keys of its samples."""

MOST_WORKERS = 16

PADDED = {"image": 0, "semantic": 255}
"""Entries of a sample that images of several sizes fill up in a batch, and with what: black, and void."""

PADDED_TO = 32
"""The coarsest stride of a backbone's maps: in multiples of it no map ends in half a place."""


@dataclass(frozen=True)
class Loading:
    """How a process loads its part of the batches.

    Attributes:
        workers: processes that load images; 0 loads in this one, -1 chooses by the machine.
        rank: number of this process.
        world: how many processes share the batches.
        pin_memory: put batches into memory from which they are copied to a GPU faster.
        timeout: seconds without a batch after which a data worker that was stopped is named.
    """

    workers: int = 0
    rank: int = 0
    world: int = 1
    pin_memory: bool = False
    timeout: float = STOPPED_AFTER

    def load(self, dataset: Dataset, slots: Iterable[Any]) -> Iterator[Any]:
        """Fetch slot after slot of a data set of batches, as `vitrail.data.workers.load` does."""
        return load(dataset, slots, self.workers, self.pin_memory, self.timeout)


class TrainBatches:
    """Global batches for training, cut into micro-batches that are dealt to the processes.

    An epoch is a permutation of the samples drawn from (seed, epoch); its last, incomplete batch is left out,
    and an epoch smaller than one batch goes round. The global batch is cut into micro-batches of nearly equal
    size, and micro-batch m goes to process m mod ``world``: one process with two micro-batches and two
    processes with one each do the same arithmetic.

    A micro-batch is a dict with ``image`` (uint8, (B, C, H, W)), ``index`` (int64, (B,)), ``label`` (int64,
    (B,), where there are labels), what the samples' ``extra`` adds, ``position`` (int, the m above) and
    ``damaged`` (list of str, the files that others had to replace).

    Args:
        samples: what to draw from.
        batch_size: samples in a global batch.
        micro_batch: most samples in one forward pass; 0 for the process's whole share of the batch. It is
            exceeded by one where a batch of few samples cannot be dealt to all processes otherwise.
        seed: decides the order.
        balanced: draw every class equally often, going round the smaller ones.
        loading: how many processes train together, and how each loads its share.

    Raises:
        ConfigError: the batch cannot be dealt so that every process gets a part of it.
        DataError: there is nothing to draw, or ``balanced`` is asked for without labels.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int,
        micro_batch: int = 0,
        seed: int = 0,
        balanced: bool = False,
        loading: Loading = Loading(),
    ) -> None:
        world = loading.world
        if batch_size < world:
            raise ConfigError(f"batch_size {batch_size} is too small for {world} processes; use {world} or more")
        if not len(samples):
            raise DataError("there are no images to train on")
        if balanced and samples.images.labels is None:
            raise DataError("classes cannot be drawn equally often without labels")
        self.samples = samples
        self.batch_size = batch_size
        self.seed = seed
        self.loading = replace(loading, workers=worker_count(loading.workers, samples))
        self.steps_per_epoch = max(1, len(samples) // batch_size)
        rounds = -(-batch_size // (micro_batch * world)) if micro_batch > 0 else 1
        self.micro_batches = min(rounds, batch_size // world) * world
        """Micro-batches in a global batch, over all processes."""
        self._groups = _classes(samples) if balanced else [torch.arange(len(samples))]
        self._order = (-1, torch.empty(0), torch.empty(0))

    @property
    def images(self) -> int:
        """Images that are trained on, each counted once."""
        return len(self.samples)

    def start(self, step: int = 0) -> Iterator[list[Batch]]:
        """Iterate for ever over the steps from ``step`` on; each is the list of this process's micro-batches.

        Raises:
            DataError: images cannot be read, or a data worker hangs or dies; raised while iterating.
        """
        slots = self.slots(step)
        micro_batches = self.loading.load(_TrainSlots(self.samples), slots)
        while True:
            yield [next(micro_batches) for _ in range(self.micro_batches // self.loading.world)]

    def keys(self, step: int) -> list[Key]:
        """Return the keys of the samples in the global batch of a step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = (epoch, *self._draw_order(epoch))
        part = slice(place * self.batch_size, (place + 1) * self.batch_size)
        indices, repeats = (order[part].tolist() for order in self._order[1:])
        return [(epoch, i, r) if r else (epoch, i) for i, r in zip(indices, repeats, strict=True)]

    def _draw_order(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Draw an epoch: for each place the sample's index, and how often the epoch has shown it before."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        length = max(len(self.samples), self.batch_size)
        quotas = torch.full((len(self._groups),), length // len(self._groups))
        quotas[torch.randperm(len(quotas), generator=generator)[: length % len(quotas)]] += 1
        indices, repeats = [], []
        for group, quota in zip(self._groups, quotas.tolist(), strict=True):
            rounds = range(-(-quota // len(group)))
            shuffled = [group[torch.randperm(len(group), generator=generator)] for _ in rounds]
            indices.append(torch.cat([*shuffled, group[:0]])[:quota])
            repeats.append(torch.arange(quota) // len(group))
        places = torch.randperm(length, generator=generator)
        return torch.cat(indices)[places], torch.cat(repeats)[places]

    def slots(self, first_step: int) -> Iterator[TrainSlot]:
        """Deal this process's micro-batches from a step on, by the keys of their samples."""
        for step in itertools.count(first_step):
            keys = self.keys(step)
            for position in range(self.loading.rank, self.micro_batches, self.loading.world):
                start, end = (self.batch_size * p // self.micro_batches for p in (position, position + 1))
                yield position, keys[start:end]


class EvalBatches:
    """Batches for evaluation: over all processes every sample exactly once, none padded, none repeated.

    A batch is as in `TrainBatches`, without ``position``. Images that cannot be read are left out and
    reported in the batch's ``damaged``.

    Args:
        samples: what to evaluate on.
        batch_size: samples in one forward pass of one process.
        loading: how many processes evaluate together, and how each loads its share: samples rank, rank + world, ...

    Attributes:
        damaged: what the latest pass over the batches has left out so far.
    """

    def __init__(self, samples: Samples, batch_size: int, loading: Loading = Loading()) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size must be 1 or more, not {batch_size}")
        self.samples = samples
        self.batch_size = batch_size
        self.loading = replace(loading, workers=worker_count(loading.workers, samples))
        self.damaged: list[str] = []
        self._indices = range(loading.rank, len(samples), loading.world)

    def __len__(self) -> int:
        """Return the number of batches of this process; unreadable ones count too."""
        return -(-len(self._indices) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Pass once over this process's samples, in order."""
        self.damaged = []
        starts = range(0, len(self._indices), self.batch_size)
        slots = ([(0, i) for i in self._indices[start : start + self.batch_size]] for start in starts)
        for batch in self.loading.load(_EvalSlots(self.samples), slots):
            self.damaged += batch["damaged"]
            if "image" in batch:
                yield batch


class _TrainSlots(Dataset):
    """Micro-batches by slot. An error is returned, for torch would bury its sentence in a traceback."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, slot: TrainSlot) -> Batch | VitrailError:
        position, keys = slot
        try:
            drawn = [self.samples.undamaged(key) for key in keys]
        except VitrailError as error:
            return error
        damaged = [str(error) for _, errors in drawn for error in errors]
        return {**collate([sample for sample, _ in drawn]), "position": position, "damaged": damaged}


class _EvalSlots(Dataset):
    """Evaluation batches by the keys of their samples; only ``damaged`` where none can be read."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, keys: list[Key]) -> Batch | VitrailError:
        drawn, damaged = [], []
        for key in keys:
            try:
                drawn.append(self.samples[key])
            except ImageError as error:
                damaged.append(str(error))
            except VitrailError as error:
                return error
        return {**(collate(drawn) if drawn else {}), "damaged": damaged}


def collate(samples: Sequence[Sample]) -> Batch:
    """Join samples into a batch: tensors are stacked, numbers become a tensor, the rest becomes a list.

    A tuple of tensors, the views of an image, becomes a tuple of batches: all first views, all second ones, and so on.

    Samples with a ``size`` (2,), the height and width of what is image, may differ in it: their entries in `PADDED`
    are filled up below and to the right, to the largest height and width there are, in multiples of `PADDED_TO`.
    """
    batch = {name: [sample[name] for sample in samples] for name in samples[0]}
    if "size" in batch:
        for name in PADDED.keys() & batch.keys():
            batch[name] = _padded(batch[name], PADDED[name])
    return {name: _join(values) for name, values in batch.items()}


def _padded(maps: list[Tensor], value: int) -> list[Tensor]:
    """Fill maps ``(..., h, w)`` up to a common size."""
    height, width = (-(-max(m.shape[axis] for m in maps) // PADDED_TO) * PADDED_TO for axis in (-2, -1))
    return [F.pad(m, (0, width - m.shape[-1], 0, height - m.shape[-2]), value=value) for m in maps]


def _join(values: list[Any]) -> Any:
    if isinstance(values[0], Tensor):
        return torch.stack(values)
    if isinstance(values[0], tuple):
        return tuple(torch.stack(view) for view in zip(*values, strict=True))
    if isinstance(values[0], (int, float)):
        return torch.tensor(values)
    return values


def worker_count(workers: int, samples: Samples) -> int:
    """Resolve -1: none for images in memory, else the process's share of the cores but one for training."""
    if workers >= 0:
        return workers
    if samples.images.in_memory:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, max(1, cores // max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))) - 1))


def _classes(samples: Samples) -> list[Tensor]:
    """Return the indices of each class's samples."""
    labels = torch.tensor(samples.images.labels)
    return [torch.nonzero(labels == label).flatten() for label in labels.unique()]


__all__ = ["Batch", "EvalBatches", "Loading", "TrainBatches", "collate", "worker_count"]
