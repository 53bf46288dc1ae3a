"""A classifier that says when it is not sure: calibrated probabilities, sets of classes, what is unlike its images.

All of it comes from `vitrail.weights.calibration_file`; nothing is learned here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vitrail.console import percent, shortened
from vitrail.errors import ConfigError
from vitrail.tasks.classification.predictor import BATCH_SIZE, ClassPredictor, ClassProbabilities
from vitrail.training.runtime import Runtime
from vitrail.trust.abstention import Threshold
from vitrail.trust.calibration import probabilities
from vitrail.trust.conformal import needed_images, prediction_sets
from vitrail.weights.calibration_file import StoredReliability, again, read_calibration
from vitrail.weights.description import Description


@dataclass(frozen=True)
class CautiousProbabilities(ClassProbabilities):
    """What a classifier says of an image, and how far that can be believed; probabilities are calibrated.

    Attributes:
        unsure: whether its best class is too often wrong at this probability to be an answer.
        candidates: the classes that hold the right one with the wanted probability, likeliest first.
        distance: how far the image lies from those the model was trained for, around 1 for such; None where the
            calibration had too few images to tell.
        unlike: whether that is farther than 99 % of them; None likewise.
    """

    unsure: bool
    candidates: tuple[str, ...]
    distance: float | None
    unlike: bool | None

    @property
    def answer(self) -> str | None:
        """The best class; None where the model is unsure."""
        return None if self.unsure else self.label

    def to_dict(self) -> dict[str, Any]:
        """Return what `ClassProbabilities.to_dict` does, and all that is said beyond."""
        return {**super().to_dict(), "answer": self.answer, **self.beyond()}

    def _repr_html_(self) -> str:
        said = "unsure" if self.unsure else escape(self.label)
        unlike = ", unlike the training images" if self.unlike else ""
        return f"<p><b>{said}</b>{unlike}; may be {escape(shortened(self.candidates))}</p>{super()._repr_html_()}"

    def beyond(self) -> dict[str, Any]:
        """Return what is said beyond probabilities, as plain values."""
        names = ("unsure", "candidates", "distance", "unlike")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Caution:
    """When a classifier answers, and what it says where it does not.

    Attributes:
        stored: what is known of it.
        threshold: from which probability on it answers.
        coverage: how often the sets of classes hold the right one.
        limit: score up to which a class belongs to the set; infinite where all do.
    """

    stored: StoredReliability
    threshold: Threshold
    coverage: float
    limit: float

    @classmethod
    def of(cls, stored: StoredReliability, max_error: float | None = None, coverage: float | None = None) -> Caution:
        """Return it for a wanted error and coverage; by default those that were stored."""
        wanted = stored.coverage if coverage is None else coverage
        threshold = stored.reliability.threshold(stored.max_error if max_error is None else max_error)
        return cls(stored, threshold, wanted, stored.reliability.set_limit(wanted))

    @property
    def about(self) -> str:
        """How it answers, a sentence."""
        if self.threshold.value is None:
            return ""
        return (
            f"Answered is from a probability of {percent(self.threshold.value)} on, so that at most "
            f"{self.threshold.max_error * 100:g} % of the answers are wrong, with 95 % confidence; that answers "
            f"{percent(self.threshold.coverage)} of {self._source}."
        )

    @property
    def shortcomings(self) -> tuple[str, ...]:
        """What it cannot do, a sentence each."""
        known, said = self.stored.reliability, []
        if self.threshold.value is None:
            said.append(f"Every image is answered with unsure: by {self._source}, {self.threshold.reason}.")
        if math.isinf(self.limit):
            said.append(
                f"Every class may be that of any image: it takes {needed_images(self.coverage):,} images to know "
                f"smaller sets that hold the right class with {self.coverage * 100:g} %, and it was learned from "
                f"{self._source}."
            )
        if known.likeness is None:
            said.append(f"Which images are unlike those of the training is not known from {self._source}.")
        return tuple(said)

    @property
    def _source(self) -> str:
        return f"the {self.stored.source}"

    def answers(self, logits: Tensor, vectors: Tensor, names: tuple[str, ...]) -> list[CautiousProbabilities]:
        """Return what is said of images with scores ``(B, K)`` and vectors ``(B, D)``."""
        known = self.stored.reliability
        shares = probabilities(logits, known.temperature.value)
        members = prediction_sets(shares, self.limit)
        least = math.inf if self.threshold.value is None else self.threshold.value
        far = None if known.likeness is None else known.likeness.distances(vectors.numpy())
        return [
            CautiousProbabilities(
                torch.from_numpy(row).float(),
                names,
                unsure=bool(row.max() < least),
                candidates=tuple(names[place] for place in np.argsort(-row, kind="stable") if own[place]),
                distance=None if far is None else float(far[number]),
                unlike=None if far is None or known.likeness is None else bool(far[number] > known.likeness.limit),
            )
            for number, (row, own) in enumerate(zip(shares, members, strict=True))
        ]


class CautiousPredictor(ClassPredictor):
    """Images to answers, or to sets of classes where the model is not sure."""

    def __init__(
        self, model: Any, description: Description, runtime: Runtime, caution: Caution, batch_size: int = BATCH_SIZE
    ) -> None:
        super().__init__(model, description, runtime, batch_size)
        self.caution = caution

    @property
    def about(self) -> str:
        """From which probability on it answers."""
        return self.caution.about

    @property
    def notes(self) -> tuple[str, ...]:
        """What it cannot do, by what is stored of the model."""
        return self.caution.shortcomings

    def answers(self, pixels: Tensor) -> list[ClassProbabilities]:
        """Return what is said of images ``(B, C, H, W)`` uint8 of the model's input size."""
        found: list[ClassProbabilities] = []
        for part in pixels.split(self.batch_size):
            found += self.caution.answers(*self.scored({"image": part}), self.description.class_names)
        return found


def cautious_predictor(
    name: str | Path, plain: ClassPredictor, max_error: float | None = None, coverage: float | None = None
) -> CautiousPredictor:
    """Return a classifier that abstains by what is stored of it.

    Args:
        name: what the user calls it.
        plain: the same, which always answers.
        max_error: share of answers that may be wrong; by default the stored one.
        coverage: how often sets hold the right class; by default the stored one.

    Raises:
        ConfigError: nothing is stored, or a share is none.
        WeightsError: what is stored is damaged, or belongs to other weights or other images.
    """
    stored = read_calibration(name, plain.model, plain.description.preprocessing)
    if stored is None:
        raise ConfigError(f"nothing is stored of when {name} can be believed; {again(name)}")
    caution = Caution.of(stored, max_error, coverage)
    return CautiousPredictor(plain.model, plain.description, plain.runtime, caution, plain.batch_size)


__all__ = ["Caution", "CautiousPredictor", "CautiousProbabilities", "cautious_predictor"]
