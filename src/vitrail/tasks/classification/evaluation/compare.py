"""A classifier beside another one, on the same images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vitrail.errors import DataError
from vitrail.tasks.classification.evaluation.found import Comparison
from vitrail.tasks.classification.evaluation.measure import score
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings
from vitrail.tasks.task import Opponent
from vitrail.trust.comparison import paired


def compare(found: Evaluation, opponent: Opponent, settings: ClassifyEvaluateSettings) -> Evaluation:
    """Return an evaluation with another classifier beside, on the images that both can be measured on.

    Raises:
        DataError: there is no image that both can read.
    """
    predictor: Any = opponent.predictor  # of a classifier, as an opponent is of the same task
    answers, _ = score(opponent.images, predictor, settings)
    assert found.answers is not None
    ours = dict(zip(found.files, found.answers.right.tolist(), strict=True))
    theirs = {
        opponent.images.names[number]: right
        for number, right in zip(answers.numbers.tolist(), answers.right.tolist(), strict=True)
    }
    names = [name for name in found.files if name in theirs]
    if not names:
        raise DataError(f"no image can be read on which {opponent.name} could be compared")
    first, second = (np.array([side[name] for name in names]) for side in (ours, theirs))
    comparison = Comparison(
        opponent.name,
        paired(first, second),
        tuple(name for name in names if ours[name] and not theirs[name]),
        tuple(name for name in names if theirs[name] and not ours[name]),
        opponent.notes,
    )
    return replace(found, comparison=comparison)


__all__ = ["compare"]
