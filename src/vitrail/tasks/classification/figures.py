"""What a classifier looks at and answers, as figures."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor, nn

from vitrail.console import percent
from vitrail.settings import LookSettings
from vitrail.tasks.attention import draw_attention
from vitrail.tasks.inputs import ShownInputs
from vitrail.weights.description import Description

ANSWERED_AT_ONCE = 32
"""Images in a forward pass that asks for classes."""


def draw_answers(
    model: nn.Module, inputs: ShownInputs, description: Description, settings: LookSettings | None = None
) -> dict[str, Image.Image]:
    """Draw the attention of a model's backbone, its answer below each image; of an encoder without classes none."""
    answers = _answers(model, inputs.images, description)
    captions = [f"{caption}\n{answer}".strip() for caption, answer in zip(inputs.captions, answers, strict=True)]
    return draw_attention(model, inputs.images, captions, description.preprocessing, settings)


@torch.inference_mode()
def _answers(model: nn.Module, images: Tensor, description: Description) -> list[str]:
    if not description.is_classifier:
        return [""] * len(images)
    scores = torch.cat([model(some) for some in images.split(ANSWERED_AT_ONCE)])
    best = scores.softmax(dim=1).max(dim=1)
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [f"model: {description.class_names[i]} {percent(share)}" for i, share in pairs]
