"""From a model and a curve to answers: images changed by several threads while the model scores those before."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from vitrail.stress.answers import AnswerFile, Answers, Unit
from vitrail.stress.chosen import ChosenImages
from vitrail.stress.curves import Curve
from vitrail.stress.image import StressImage
from vitrail.stress.model import StressedModel
from vitrail.stress.saliency import Saliency

CLEAN = "clean"
"""What the answers to images as they are are called."""
AHEAD = 2
"""Batches that are changed while one is scored."""


@dataclass(frozen=True)
class Measurement:
    """What is measured of one model.

    Attributes:
        model: the model.
        images: the images.
        curves: how they are changed.
        saliency: what says what matters; None where no curve asks.
        batch_size: images in a forward pass.
    """

    model: StressedModel
    images: ChosenImages
    curves: Sequence[Curve]
    saliency: Saliency | None
    batch_size: int

    def units(self) -> list[Unit]:
        """Return all that is to be measured: the images as they are, then each curve where it changes them."""
        parts = range(len(self.images.parts))
        clean = [Unit(CLEAN, 0.0, 0, part) for part in parts]
        return clean + [unit for curve in self.curves for part in parts for unit in units_of(curve, part)]

    def part(self, groups: Sequence[str]) -> Measurement:
        """Return the same of some families of curves."""
        curves = [curve for curve in self.curves if curve.group in groups]
        needed = self.saliency if any("saliency" in curve.needs for curve in curves) else None
        return replace(self, curves=curves, saliency=needed)

    def is_measured(self, file: AnswerFile) -> bool:
        """Whether the file lacks nothing of it."""
        return all(unit in file for unit in self.units())

    def run(self, file: AnswerFile, done: Callable[[Unit], None]) -> None:
        """Measure what the file lacks; ``done`` is called after each unit that was measured."""
        for part, numbers in enumerate(self.images.parts):
            curves = [c for c in self.curves if any(unit not in file for unit in units_of(c, part))]
            clean = Unit(CLEAN, 0.0, 0, part)
            if clean in file and not curves:
                continue
            images = self.images.read(numbers)
            if clean not in file:
                file.add(clean, answers_to(self.model, images, None, self.batch_size))
                done(clean)
            if any("saliency" in curve.needs for curve in curves):
                assert self.saliency is not None
                images = self.saliency.put_on(images)
            for curve in curves:
                self._run_curve(curve, part, images, file, done)

    def _run_curve(
        self, curve: Curve, part: int, images: Sequence[StressImage], file: AnswerFile, done: Callable[[Unit], None]
    ) -> None:
        for seed in range(curve.seeds):
            missing = [unit for unit in units_of(curve, part) if unit.seed == seed and unit not in file]
            if missing and "partner" in curve.needs:
                images = self.images.with_partners(images, self.images.parts[part], seed)
            for unit in missing:
                variant = Variant(curve, unit.level, seed)
                file.add(unit, answers_to(self.model, images, variant, self.batch_size))
                done(unit)


@dataclass(frozen=True)
class Variant:
    """A curve at one strength and seed."""

    curve: Curve
    level: float
    seed: int


def units_of(curve: Curve, part: int) -> list[Unit]:
    """Return the units of a curve and a part of the images; none where it leaves images as they are."""
    return [
        Unit(curve.key, level, seed, part)
        for seed in range(curve.seeds)
        for level in curve.levels
        if level != curve.clean
    ]


def answers_to(
    model: StressedModel, images: Sequence[StressImage], variant: Variant | None, batch_size: int
) -> Answers:
    """Ask a model about images.

    Args:
        model: the model.
        images: the images.
        variant: how they are changed; None: not at all.
        batch_size: images in a forward pass.
    """
    predicted, probability = [], []
    labels = torch.tensor([image.label for image in images])
    for start, logits in _logits(model, images, variant, batch_size):
        right = labels[start : start + len(logits)]
        shares = logits.double().softmax(dim=1)
        predicted.append(logits.argmax(dim=1).numpy())
        probability.append(shares.gather(1, right[:, None])[:, 0].numpy())
    return Answers(np.concatenate(predicted), np.concatenate(probability))


def _logits(
    model: StressedModel, images: Sequence[StressImage], variant: Variant | None, batch_size: int
) -> Iterator[tuple[int, torch.Tensor]]:
    """Give the scores of each batch, with the number of its first image; batches are the same for every variant."""
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    if variant is None:
        scored = (model.logits(_stacked([image.pixels for image in batch])) for batch in batches)
    elif variant.curve.keep is not None:
        scored = (_logits_of_kept(model, batch, variant) for batch in batches)
    else:
        scored = map(model.logits, _changed(batches, variant))
    for number, logits in enumerate(scored):
        yield number * batch_size, logits


def _logits_of_kept(model: StressedModel, images: Sequence[StressImage], variant: Variant) -> torch.Tensor:
    kept = [variant.curve.kept(image, variant.level, variant.seed) for image in images]
    return model.logits_of_kept(_stacked([image.pixels for image in images]), np.stack(kept))


def _changed(batches: Sequence[Sequence[StressImage]], variant: Variant) -> Iterator[np.ndarray]:
    """Give changed batches, uint8 ``(B, C, H, W)``; threads change the next `AHEAD` while one is used."""

    def change(image: StressImage) -> np.ndarray:
        return variant.curve.changed(image, variant.level, variant.seed)

    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        waiting: deque[list[Future[np.ndarray]]] = deque()
        for batch in batches:
            waiting.append([threads.submit(change, image) for image in batch])
            if len(waiting) > AHEAD:
                yield _stacked([one.result() for one in waiting.popleft()])
        while waiting:
            yield _stacked([one.result() for one in waiting.popleft()])


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.stack(images))


__all__ = ["CLEAN", "Measurement", "Variant", "answers_to", "units_of"]
