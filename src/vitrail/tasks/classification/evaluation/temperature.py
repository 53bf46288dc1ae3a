"""Whether a classifier's probabilities can be believed, before and after a temperature fitted to other images."""

from __future__ import annotations

from dataclasses import dataclass

from vitrail.tasks.classification.evaluation.answers import Answers
from vitrail.tasks.classification.evaluation.known import KnownReliability
from vitrail.trust.calibration import Calibration, CalibrationFigures, calibrate, cross_calibrate


@dataclass(frozen=True)
class EvaluatedCalibration:
    """How well probabilities agree with how often the model is right.

    Attributes:
        before: figures of the probabilities as the model gives them.
        after: the same after temperature scaling; None where no temperature was fitted.
        temperature: what scores are divided by; None where none was fitted.
        fitted_on: which images it was fitted to, or why none was fitted: a sentence.
    """

    before: CalibrationFigures
    after: CalibrationFigures | None
    temperature: float | None
    fitted_on: str


def calibration_of(answers: Answers, known: KnownReliability) -> EvaluatedCalibration | None:
    """Measure calibration before and after temperature scaling; None where the scores are not kept.

    The temperature was fitted to images that are not among those measured. Where there are none, each half of the
    measured ones is scaled by what is fitted to the other half: no image has a say in its own temperature.

    Args:
        answers: to the images that are measured.
        known: what is known of when the classifier can be believed.
    """
    if answers.logits is None:
        return None
    if known.stored is not None and known.apart:
        where = f"fitted to {known.stored.source}, none of them measured here"
        found = calibrate(known.stored.reliability.temperature, answers.logits, answers.labels)
        return _stated(found, where)
    where = "fitted to each half of the measured images and applied to the other, as no others are held out"
    return _stated(cross_calibrate(answers.logits, answers.labels), where)


def _stated(found: Calibration, where: str) -> EvaluatedCalibration:
    """Say where a temperature is from, or why there is none."""
    if found.temperature.reason:
        return EvaluatedCalibration(found.before, None, None, f"No temperature: {found.temperature.reason}.")
    return EvaluatedCalibration(found.before, found.after, found.temperature.value, f"The temperature is {where}.")


__all__ = ["EvaluatedCalibration", "calibration_of"]
