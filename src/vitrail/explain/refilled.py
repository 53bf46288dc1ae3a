"""What a classifier answers when part of an image is filled in by something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vitrail.explain.cells import Cells
from vitrail.explain.fill import Fill
from vitrail.explain.record import device_of, evaluating
from vitrail.explain.side_by_side import run_side_by_side
from vitrail.heads.classifier import ImageClassifier

VARIANTS_AT_ONCE = 32
"""Filled images in one forward pass."""

ON_A_CORE = 8
"""Filled images in one of several passes that run at once on a CPU."""


@dataclass(frozen=True)
class Refilled:
    """One image, part of it filled in F times, and what a classifier says of each.

    Attributes:
        shown: ``(F, C, H, W)``, the filled images, normalised as the image was.
        before: ``(K,)``, the probability of each class for the whole image.
        after: ``(F, K)``, for each filling.
    """

    shown: Tensor
    before: Tensor
    after: Tensor

    @property
    def answer(self) -> int:
        """The class of the whole image."""
        return int(self.before.argmax())

    @property
    def answers(self) -> Tensor:
        """The class of each filling, ``(F,)``."""
        return self.after.argmax(dim=1)

    @property
    def changed(self) -> Tensor:
        """Which fillings have another class than the image, ``(F,)`` bool."""
        return self.answers != self.answer

    @property
    def kept(self) -> Tensor:
        """The probability that each filling leaves the image's class, ``(F,)``."""
        return self.after[:, self.answer]

    @property
    def spread(self) -> float | None:
        """The standard deviation of `kept` over the fillings; None of a single one."""
        return float(self.kept.std()) if len(self.kept) > 1 else None


def refill(model: ImageClassifier, image: Tensor, hidden: Tensor, cells: Cells, fills: Sequence[Fill]) -> Refilled:
    """Hide part of an image, let it be filled in, and ask the classifier again.

    Args:
        model: the classifier.
        image: ``(C, H, W)``, normalised.
        hidden: ``(N,)`` bool, the cells that are filled in.
        cells: of the image.
        fills: ways to fill them.
    """
    one, mask = image.unsqueeze(0), hidden.view(1, 1, -1)
    shown = torch.cat([fill(one, mask, cells)[0] for fill in fills])
    probabilities = torch.cat(list(_logits(model, torch.cat([one, shown])))).softmax(dim=1)
    return Refilled(shown, probabilities[0], probabilities[1:])


def answers(model: ImageClassifier, images: Tensor) -> Tensor:
    """Return the class of each of some images ``(B, C, H, W)``: ``(B,)`` on the CPU."""
    return torch.cat([logits.argmax(dim=1) for logits in _logits(model, images)])


def answers_without(model: ImageClassifier, image: Tensor, hidden: Tensor, cells: Cells, fill: Fill) -> Tensor:
    """Return the class of an image without each of some regions.

    Args:
        model: the classifier.
        image: ``(C, H, W)``, normalised.
        hidden: ``(S, N)`` bool, the cells of each region.
        cells: of the image.
        fill: what stands in their place.

    Returns:
        ``(S,)`` int64 on the CPU.
    """
    device = device_of(model)
    parts = hidden.split(ON_A_CORE if device.type == "cpu" else VARIANTS_AT_ONCE)
    shown = (fill(image.unsqueeze(0), some.unsqueeze(0), cells)[0] for some in parts if len(some))
    with evaluating(model):
        logits = run_side_by_side(lambda some: model(some.to(device)), shown, device)
        return torch.cat([torch.empty(0, dtype=torch.int64), *(one.argmax(dim=1).cpu() for one in logits)])


def _logits(model: ImageClassifier, images: Tensor) -> Iterator[Tensor]:
    with evaluating(model):
        for some in images.split(VARIANTS_AT_ONCE):
            yield model(some.to(device_of(model))).float().cpu()


__all__ = ["Refilled", "answers", "answers_without", "refill"]
