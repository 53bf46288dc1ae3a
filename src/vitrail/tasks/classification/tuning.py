"""Learning to classify with the last blocks alone."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Augment, Preprocessing
from vitrail.heads.partial_fine_tuning import PartialFineTuning
from vitrail.tasks.classification.loss import Classification, smooth_targets


class TunedBlocks(Classification):
    """Cross-entropy of a classifier of which only what is above a cut learns.

    A batch may hold ``features``, what `PartialFineTuning.frozen` gives, in place of ``image``: the same is learned
    either way.

    Args:
        cut: where the classifier is cut; what is below stops learning.
        preprocessing: how images are normalised.
        smoothing: as in `Classification`.
        augment: likewise; features cannot be mixed.
    """

    def __init__(
        self,
        cut: PartialFineTuning,
        preprocessing: Preprocessing,
        smoothing: float = 0.0,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(cut.model, preprocessing, smoothing, augment)
        self.cut = cut
        cut.freeze()

    def train(self, mode: bool = True) -> TunedBlocks:
        """Switch dropout on or off, but for the part that does not learn: there it never acts."""
        super().train(mode)
        for module in self.cut.frozen_modules():
            module.eval()
        return self

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``label`` (B,), and ``features`` or ``image`` (B, C, H, W) uint8."""
        if "features" not in batch:
            return super().forward(batch)
        targets = smooth_targets(batch["label"], self.model.head.out_features, self.smoothing)
        return {"loss": F.cross_entropy(self.logits(batch), targets)}

    def logits(self, batch: dict[str, Any]) -> Tensor:
        """Score a batch: ``(B, K)`` float32."""
        return self.cut.tuned(batch["features"]).float() if "features" in batch else super().logits(batch)
