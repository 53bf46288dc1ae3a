"""A classifier whose head is fitted and not learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.heads.classifier import ImageClassifier
from vitrail.tasks.classification.loss import Classification


class FittedClassification(Classification):
    """Cross-entropy of a classifier whose backbone does not learn.

    A batch may hold ``features``, what the backbone gives its head, in place of ``image``.

    Args:
        model: as in `Classification`.
        preprocessing: how images are normalised.
    """

    def __init__(self, model: ImageClassifier, preprocessing: Preprocessing) -> None:
        super().__init__(model, preprocessing)
        for parameter in model.backbone.parameters():
            parameter.requires_grad_(False)

    @torch.no_grad()
    def set_head(self, weight: Tensor, bias: Tensor) -> None:
        """Let the classifier score its vectors ``x`` by ``weight x + bias``.

        Args:
            weight: ``(K, D)``; of a model with two heads, for class and distillation token, ``(K, 2 D)``.
            bias: ``(K,)``.
        """
        heads = [self.model.head, *([self.model.head_dist] if self.model.head_dist is not None else [])]
        for head, part in zip(heads, weight.chunk(len(heads), dim=1), strict=True):
            head.weight.copy_(part * len(heads))  # their scores are averaged
            head.bias.copy_(bias)

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``label`` (B,), and ``features`` (B, ...) or ``image`` (B, C, H, W)."""
        return {"loss": torch.nn.functional.cross_entropy(self.logits(batch), batch["label"])}

    def logits(self, batch: dict[str, Any]) -> Tensor:
        """Score a batch: ``(B, K)`` float32."""
        return self.model.score(batch["features"]).float() if "features" in batch else super().logits(batch)


__all__ = ["FittedClassification"]
