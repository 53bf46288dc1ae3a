"""What a classifier answers to each image of a data set, gathered from all processes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.data.batches import EvalBatches
from vitrail.data.sources import Images
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.training import distributed
from vitrail.training.interfaces import Batch

TOP = 5
"""Right among so many best classes is counted too, where there are more classes."""

MOST_SCORES = 2**28
"""Scores that are kept, 1 GB: of 50,000 images and 1,000 classes there are 50 million, 200 MB."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a classifier answers to N images, in the order of the data set; damaged ones are left out.

    Attributes:
        numbers: int64 ``(N,)``, the place of each image in the data set.
        labels: int64 ``(N,)``, its class.
        predicted: int64 ``(N,)``, the class of the highest score.
        probability: float32 ``(N,)``, of that class.
        best: int64 ``(N, min(5, K))``, the classes of the highest scores, best first.
        shares: float32, the probabilities of those.
        of_label: float32 ``(N,)``, probability of the image's own class.
        losses: float32 ``(N,)``, cross-entropy, in nats.
        squares: float32 ``(N,)``, squared distance between probabilities and outcome, summed over the classes.
        brightness: float32 ``(N,)``, mean of the input's pixels, from 0 for black to 1 for white.
        sizes: int64 ``(N, 2)``, width and height of the image, in pixels; 0 where its header does not say.
        logits: float32 ``(N, K)``; None where there would be more than `MOST_SCORES`.
    """

    numbers: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray
    best: np.ndarray
    shares: np.ndarray
    of_label: np.ndarray
    losses: np.ndarray
    squares: np.ndarray
    brightness: np.ndarray
    sizes: np.ndarray
    logits: np.ndarray | None

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def right(self) -> np.ndarray:
        """Whether each image is named right, ``(N,)`` bool."""
        return self.predicted == self.labels

    @property
    def side(self) -> np.ndarray:
        """Square root of each image's area in pixels, ``(N,)`` float64; nan where it is not known."""
        area = self.sizes.prod(axis=1).astype(np.float64)
        return np.where(area > 0, np.sqrt(area), np.nan)

    def at(self, places: np.ndarray) -> Answers:
        """Return the answers at some places, in their order."""
        values: list[Any] = [getattr(self, one.name) for one in fields(Answers)]
        taken: list[Any] = [None if value is None else value[places] for value in values]
        return Answers(*taken)

    def confusion(self, classes: int) -> np.ndarray:
        """Return how many images of class i are called class j: int64 ``(K, K)``."""
        cells = np.bincount(self.labels * classes + self.predicted, minlength=classes * classes)
        return cells.reshape(classes, classes)

    def among_best(self) -> int:
        """Return how many images have their class among the best `TOP`."""
        return int((self.best == self.labels[:, None]).any(axis=1).sum())

    def log_probabilities(self) -> np.ndarray:
        """Return the logarithms of all probabilities, float32 ``(N, K)``; the caller knows that there are logits."""
        assert self.logits is not None
        return F.log_softmax(torch.from_numpy(self.logits), dim=1).numpy()


def answers_to(images: Images, predictor: ClassPredictor, batches: EvalBatches) -> Answers:
    """Score every image, over all processes; each of them returns the answers to all.

    Args:
        images: the data set, with labels.
        predictor: the classifier.
        batches: this process's share of the images.
    """
    classes = len(predictor.description.class_names)
    keep = len(images) * classes <= MOST_SCORES
    parts = [_nothing(classes, keep)]
    for batch in batches:
        parts.append(_answered(batch, predictor.logits(batch), images, keep))
    own = _joined(parts)
    everywhere = _joined(distributed.gather(own))
    return everywhere.at(np.argsort(everywhere.numbers, kind="stable"))


def _answered(batch: Batch, logits: Tensor, images: Images, keep: bool) -> Answers:
    """Return the answers to a batch, given its scores ``(B, K)`` on the CPU."""
    labels = batch["label"]
    shares = logits.softmax(dim=1)
    best = logits.topk(min(TOP, logits.shape[1])).indices
    predicted = logits.argmax(dim=1)
    of_label = shares.gather(1, labels[:, None])[:, 0]
    sizes = np.array([_size(images, number) for number in batch["index"].tolist()], dtype=np.int64).reshape(-1, 2)
    return Answers(
        numbers=batch["index"].numpy(),
        labels=labels.numpy(),
        predicted=predicted.numpy(),
        probability=shares.gather(1, predicted[:, None])[:, 0].numpy(),
        best=best.numpy(),
        shares=shares.gather(1, best).numpy(),
        of_label=of_label.numpy(),
        losses=F.cross_entropy(logits, labels, reduction="none").numpy(),
        squares=(shares.square().sum(dim=1) - 2 * of_label + 1).numpy(),
        brightness=_brightness(batch["image"]).numpy(),
        sizes=sizes,
        logits=logits.numpy() if keep else None,
    )


def _brightness(pixels: Tensor) -> Tensor:
    """Return the mean brightness of images ``(B, C, H, W)`` uint8, in [0, 1]: ``(B,)``."""
    of_channels = pixels.float().mean(dim=(2, 3)) / 255
    return of_channels @ torch.tensor(LUMA) if pixels.shape[1] == 3 else of_channels.mean(dim=1)


def _size(images: Images, number: int) -> tuple[int, int]:
    """Return the width and height of an image where that is known without decoding it, else 0."""
    item = images.item(number)
    return item.stated_size or (item.size if item.in_memory else (0, 0))


def _nothing(classes: int, keep: bool) -> Answers:
    """Return the answers to no image."""
    best = min(TOP, classes)
    whole, fraction = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
    pairs, table = np.empty((0, 2), dtype=np.int64), np.empty((0, classes), dtype=np.float32)
    return Answers(
        numbers=whole,
        labels=whole,
        predicted=whole,
        probability=fraction,
        best=np.empty((0, best), dtype=np.int64),
        shares=np.empty((0, best), dtype=np.float32),
        of_label=fraction,
        losses=fraction,
        squares=fraction,
        brightness=fraction,
        sizes=pairs,
        logits=table if keep else None,
    )


def _joined(parts: list[Answers]) -> Answers:
    """Return the answers of several parts, one after the other."""
    return Answers(*(_join([getattr(part, one.name) for part in parts]) for one in fields(Answers)))


def _join(values: list[Any]) -> Any:
    return None if values[0] is None else np.concatenate(values) if len(values) > 1 else values[0]


__all__ = ["MOST_SCORES", "TOP", "Answers", "answers_to"]
