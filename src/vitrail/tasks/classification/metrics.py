"""What a classifier gets right: counted on any number of processes, and as the verbs show it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.console import figure, percent
from vitrail.output import say, say_table
from vitrail.tasks.left_out import say_measured

TOP = 5
"""Right among so many best classes is counted too, where there are more classes."""

EMPTY_SHOWN = 20
"""Classes without images that a table shows; where there are more, it shows none."""


@dataclass(frozen=True)
class Evaluation:
    """What a classifier gets right.

    Attributes:
        split: the images measured on.
        images: how many they are.
        top1: share whose best-scored class is right.
        top5: share whose right class is among the best five; None with five classes or fewer.
        mean_class: mean over the classes of the share that is right, so that small classes count as much.
        loss: mean cross-entropy, in nats.
        classes: for each class its name, its images, and the share of them that is right; None without images.
        confusion: ``confusion[i][j]`` images of class i called class j.
        damaged: files that could not be read and were left out.
        notes: which images were measured, where that is not plain.
        normalization: how the input was normalised, as ``--normalization`` names it.
    """

    split: str
    images: int
    top1: float
    top5: float | None
    mean_class: float
    loss: float
    classes: tuple[tuple[str, int, float | None], ...]
    confusion: tuple[tuple[int, ...], ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()
    normalization: str = ""

    @property
    def right(self) -> int:
        """Images whose best-scored class is right."""
        return sum(row[number] for number, row in enumerate(self.confusion))

    def say(self) -> None:
        """Print a table of the classes and a closing line."""
        say_measured(self.damaged, self.images, self.notes)
        empty = sum(not count for _, count, _ in self.classes)
        rows = [row for row in self.classes if row[1] or empty <= EMPTY_SHOWN]
        say_table("", ("class", "images", "right"), [(n, c, percent(r)) for n, c, r in rows])
        if len(rows) < len(self.classes):
            say(f"not shown: {empty:,} of {len(self.classes):,} classes, which have no images here")
        top5 = "" if self.top5 is None else f", top-5 {percent(self.top5)}"
        say(
            f"{self.split}: {self.right:,} of {self.images:,} images right, top-1 {percent(self.top1)}{top5}, "
            f"mean over classes {percent(self.mean_class)}, loss {figure('loss', self.loss)}, "
            f"normalization {self.normalization}"
        )


@dataclass(frozen=True)
class Counts:
    """What is counted of a classifier's scores; counts of several parts add up to those of all.

    Attributes:
        confusion: int64 ``(K, K)``: images of class i called class j.
        among_best: images whose right class is among the best `TOP`.
        losses: float32 ``(N,)``: cross-entropy of each image, in nats.
    """

    confusion: Tensor
    among_best: int
    losses: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> Counts:
        """Count scores ``(N, K)`` against labels ``(N,)``, both on the CPU."""
        count = logits.shape[1]
        confusion = torch.zeros(count, count, dtype=torch.int64)
        confusion.index_put_((labels, logits.argmax(dim=1)), torch.ones_like(labels), accumulate=True)
        best = logits.topk(min(TOP, count)).indices
        among_best = int((best == labels.unsqueeze(1)).any(dim=1).sum())
        return cls(confusion, among_best, F.cross_entropy(logits, labels, reduction="none"))

    @classmethod
    def total(cls, parts: Sequence[Counts], classes: int) -> Counts:
        """Add up the counts of parts; without any they are 0."""
        nothing = torch.zeros(classes, classes, dtype=torch.int64)
        confusion = torch.stack([nothing, *(part.confusion for part in parts)]).sum(dim=0)
        losses = torch.cat([torch.empty(0), *(part.losses for part in parts)])
        return cls(confusion, sum(part.among_best for part in parts), losses)

    def __len__(self) -> int:
        return len(self.losses)


def summarise(
    split: str, counts: Counts, class_names: tuple[str, ...], damaged: tuple[str, ...], notes: tuple[str, ...] = ()
) -> Evaluation:
    """Make the figures of an evaluation from what was counted of one image or more."""
    total, confusion = len(counts), counts.confusion
    right, sizes = confusion.diagonal().tolist(), confusion.sum(dim=1).tolist()
    shares = [hits / size if size else None for hits, size in zip(right, sizes, strict=True)]
    there = [share for share in shares if share is not None]
    return Evaluation(
        split=split,
        images=total,
        top1=sum(right) / total,
        top5=counts.among_best / total if len(class_names) > TOP else None,
        mean_class=math.fsum(there) / len(there),
        # Whatever the order of the images, and however they were shared out.
        loss=math.fsum(counts.losses.tolist()) / total,
        classes=tuple(zip(class_names, sizes, shares, strict=True)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        damaged=damaged,
        notes=notes,
    )
