"""What a classifier looks at and answers, as figures."""

from __future__ import annotations

from typing import Any

from vitrail.console import percent
from vitrail.settings import LookSettings
from vitrail.tasks.attention import attention_figures
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.inputs import ShownInputs
from vitrail.training.runtime import Runtime
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description


def answer_figures(
    model: Any, inputs: ShownInputs, description: Description, settings: LookSettings | None = None
) -> dict[str, Figure]:
    """Draw the attention of a model's backbone, its answer below each image; of an encoder without classes none."""
    answers = _answers(model, inputs, description)
    captions = [f"{caption}\n{answer}".strip() for caption, answer in zip(inputs.captions, answers, strict=True)]
    return attention_figures(model, inputs.images, captions, description.preprocessing, settings)


def _answers(model: Any, inputs: ShownInputs, description: Description) -> list[str]:
    if not description.is_classifier:
        return [""] * len(inputs.pixels)
    answers = ClassPredictor(model, description, Runtime.where(model)).answers(inputs.pixels)
    return [f"model: {one.label} {percent(one.probability)}" for one in answers]
