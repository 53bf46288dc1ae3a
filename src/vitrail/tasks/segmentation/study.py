"""What is kept of each image while a segmenter is measured: its figures, its main mistake, and how sure pixels are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from vitrail.data.segments import VOID
from vitrail.heads.sliding_window import classes_of
from vitrail.tasks.segmentation.loss import confusion
from vitrail.training import distributed
from vitrail.training.interfaces import Batch

SIZES = ("small", "medium", "large")
"""Of regions of one class that hang together: below 32^2 pixels, up to 96^2, and above, as COCO's areas."""

EDGES = (32**2, 96**2)

STEPS = 100
"""Parts of [0, 1] into which probabilities are counted."""

MOST_COUNTED = 2**22
"""Probabilities that are counted of an image: of larger ones every second pixel of every second row is, and so on."""


@dataclass(eq=False)
class Study:
    """What is kept of N images with K classes; parts of several processes are joined by `gathered`.

    Attributes:
        numbers: ``N`` places of images in the data set.
        right, union, are: a row ``(K,)`` for each image: pixels that are right, that are the class or called it, and
            that are it.
        losses: summed cross-entropy of each image's pixels.
        mistakes: for each image its most frequent mistake: pixels, class, and what they are called.
        table: int64 ``(K, K)``, pixels of class i called class j.
        sure: int64 ``(K, 2, STEPS)``, pixels that are not and that are the class, by how probable it is called.
        regions: int64 ``(K, 3, 2)``, pixels of regions by `SIZES`, and how many of them are right.
    """

    numbers: list[int] = field(default_factory=list)
    right: list[np.ndarray] = field(default_factory=list)
    union: list[np.ndarray] = field(default_factory=list)
    are: list[np.ndarray] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    mistakes: list[tuple[int, int, int]] = field(default_factory=list)
    table: Any = 0
    sure: Any = 0
    regions: Any = 0

    def each(self, batch: Batch, measured: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Keep what was measured of a batch of one image."""
        self.numbers += batch["index"].tolist()
        for rows, (name, place) in ((self.right, ("mean_iou", 0)), (self.union, ("mean_iou", 1))):
            rows.append(measured[name][place].cpu().numpy().astype(np.int64))
        self.are.append(measured["mean_accuracy"][1].cpu().numpy().astype(np.int64))
        self.losses.append(float(measured["loss"][0]))

    def watch(self, target: Tensor, found: Tensor) -> None:
        """Look at the classes ``(1, H, W)`` and probabilities ``(1, K, H, W)`` of an image."""
        called = classes_of(found)
        table = confusion(target, called, found.shape[1]).cpu().numpy()
        self.table = self.table + table
        wrong = table * (1 - np.eye(len(table), dtype=np.int64))
        there, called_instead = divmod(int(wrong.argmax()), len(wrong))
        self.mistakes.append((int(wrong.max()), there, called_instead))
        self.sure = self.sure + _counted(target, found)
        self.regions = self.regions + _regions(target[0].cpu().numpy(), called[0].cpu().numpy(), found.shape[1])

    def gathered(self) -> Study:
        """Return what all processes kept, in the order of the data set."""
        parts = [part for part in distributed.gather(self) if part.numbers]
        joined = Study()
        for name in ("numbers", "right", "union", "are", "losses", "mistakes"):
            setattr(joined, name, [one for part in parts for one in getattr(part, name)])
        order = np.argsort(joined.numbers, kind="stable").tolist()
        for name in ("numbers", "right", "union", "are", "losses", "mistakes"):
            setattr(joined, name, [getattr(joined, name)[place] for place in order])
        for name in ("table", "sure", "regions"):
            setattr(joined, name, sum(getattr(part, name) for part in parts))
        return joined


def _counted(target: Tensor, found: Tensor) -> np.ndarray:
    """Count pixels by how probable each class is called: int64 ``(K, 2, STEPS)``."""
    classes, step = found.shape[1], 1
    while found[0, :, ::step, ::step].numel() > MOST_COUNTED:
        step += 1
    known = target[0, ::step, ::step].long()
    there = known != VOID
    shares, known = found[0, :, ::step, ::step][:, there].float(), known[there]
    places = (shares * STEPS).long().clamp(0, STEPS - 1)
    numbers = torch.arange(classes, device=found.device)[:, None]
    cells = (numbers * 2 + (known[None] == numbers)) * STEPS + places
    return torch.bincount(cells.flatten(), minlength=classes * 2 * STEPS).view(classes, 2, STEPS).cpu().numpy()


def _regions(target: np.ndarray, called: np.ndarray, classes: int) -> np.ndarray:
    """Count the pixels of regions by their size, and those that are right: int64 ``(K, 3, 2)``."""
    counts = np.zeros((classes, len(SIZES), 2), dtype=np.int64)
    for number in np.unique(target[target != VOID]).tolist():
        labelled: Any = ndimage.label(target == number)
        regions = labelled[0]
        areas = np.bincount(regions.ravel())[1:]
        right = np.bincount(regions[called == number].ravel(), minlength=len(areas) + 1)[1:]
        size = np.digitize(areas, EDGES)
        counts[number, :, 0] = np.bincount(size, weights=areas, minlength=len(SIZES))
        counts[number, :, 1] = np.bincount(size, weights=right, minlength=len(SIZES))
    return counts


def precision_recall(sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return precision and recall of a class as ever less probable pixels are called it, at most ``(STEPS,)`` each.

    Args:
        sure: ``(2, STEPS)``, pixels that are not and that are the class, by how probable it is called; at least one is.
    """
    wrong, right = (np.cumsum(one[::-1]).astype(np.float64) for one in sure)
    called = right + wrong > 0  # before it no pixel is, and there is no precision
    return right[called] / (right + wrong)[called], right[called] / right[-1]


def average_precision(sure: np.ndarray) -> float | None:
    """Return the area under precision over recall, as a sum of steps; None where no pixel is of the class."""
    if not sure[1].any():
        return None
    precision, recall = precision_recall(sure)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


__all__ = ["SIZES", "Study", "average_precision", "precision_recall"]
