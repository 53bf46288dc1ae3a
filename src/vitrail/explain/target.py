"""Which answer is explained: the score of one class, or what sets one class above another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.explain.record import device_of, evaluating
from vitrail.heads.classifier import ImageClassifier

Measure = Literal["logit", "log_probability", "probability"]
"""logit: what gradients are taken of, before the softmax (Grad-CAM, section 3); log_probability: what removal lowers,
so that a class which falls less than all others does not seem to gain; probability: what curves show."""

IMAGES_AT_ONCE = 32


@dataclass(frozen=True)
class Target:
    """The class of each image that is explained.

    Attributes:
        classes: ``(B,)`` indices.
        against: ``(B,)`` indices of the classes they are set against; None for the class alone.
    """

    classes: Tensor
    against: Tensor | None = None

    def score(self, logits: Tensor, measure: Measure = "logit") -> Tensor:
        """Reduce logits to the score that is explained.

        Between two classes the logit and the log probability are the same difference, and the probability is that of
        the first class if there were only these two.

        Args:
            logits: ``(B, K)``, or ``(B, S, K)`` of S variants of each image.
            measure: which score.

        Returns:
            ``(B,)`` or ``(B, S)``.
        """
        if self.against is not None:
            margin = _chosen(logits, self.classes) - _chosen(logits, self.against)
            return margin.sigmoid() if measure == "probability" else margin
        if measure == "logit":
            return _chosen(logits, self.classes)
        log_probability = _chosen(logits.log_softmax(dim=-1), self.classes)
        return log_probability.exp() if measure == "probability" else log_probability

    def part(self, images: slice | Tensor) -> Target:
        """Return the target of some of the images."""
        return Target(self.classes[images], None if self.against is None else self.against[images])


def _chosen(values: Tensor, classes: Tensor) -> Tensor:
    """Take from ``(B, ..., K)`` the value of each image's class: ``(B, ...)``."""
    index = classes.to(values.device).view(-1, *[1] * (values.ndim - 1))
    return values.gather(-1, index.expand(*values.shape[:-1], 1)).squeeze(-1)


def predicted_classes(model: ImageClassifier, images: Tensor) -> Tensor:
    """Return the class that a model gives each image, ``(B,)``."""
    device = device_of(model)
    with evaluating(model):
        found = [model(some.to(device)).argmax(dim=1).cpu() for some in images.split(IMAGES_AT_ONCE)]
    return torch.cat(found)


def target_of(
    model: ImageClassifier, images: Tensor, classes: Sequence[int] | None = None, against: Sequence[int] | None = None
) -> Target:
    """Choose what is explained of each image.

    Args:
        model: the classifier.
        images: ``(B, C, H, W)``, normalised.
        classes: an index for each image, or one for all; by default the class that the model gives each.
        against: an index for each image, or one for all, of the class it is set against.

    Raises:
        ConfigError: there is no such class, or a class is set against itself.
    """
    count, known = len(images), model.head.out_features
    chosen = predicted_classes(model, images) if classes is None else _indices(classes, count, known)
    other = None if against is None else _indices(against, count, known)
    if other is not None and (same := (chosen == other).nonzero().flatten().tolist()):
        raise ConfigError(
            f"class {int(chosen[same[0]])} cannot be set against itself (image {same[0] + 1} of {count}); "
            "name two different classes"
        )
    return Target(chosen, other)


def _indices(classes: Sequence[int], count: int, known: int) -> Tensor:
    for index in classes:
        if not 0 <= index < known:
            raise ConfigError(f"there is no class {index}; this model's classes go from 0 to {known - 1}")
    if len(classes) not in (1, count):
        raise ConfigError(f"{len(classes)} classes for {count} images; name one for all, or one for each")
    return torch.tensor(classes, dtype=torch.int64).expand(count)
