"""Learning to classify whole images."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.config import Augment, Preprocessing
from vitrail.data.mixing import mix
from vitrail.heads.classifier import ImageClassifier
from vitrail.tasks.loss import SupervisedLoss


class Classification(SupervisedLoss):
    """Cross-entropy with smoothed and, if asked, mixed labels.

    Args:
        model: images to logits ``(B, K)``.
        preprocessing: how its images are normalised.
        smoothing: share of the target that is spread evenly over all classes, in [0, 1).
        augment: its mixup and cutmix settings are used here, where whole batches are at hand.
    """

    def __init__(
        self,
        model: ImageClassifier,
        preprocessing: Preprocessing,
        smoothing: float = 0.0,
        augment: Augment | None = None,
    ) -> None:
        super().__init__(model, preprocessing)
        self.smoothing = smoothing
        self.augment = augment or Augment()

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``image`` (B, C, H, W) uint8 and ``label`` (B,)."""
        images = self.normalise(batch["image"])
        targets = smooth_targets(batch["label"], self.model.head.out_features, self.smoothing)
        if self.augment.mixup or self.augment.cutmix:
            a = self.augment
            images, targets = mix(images, targets, a.mixup, a.cutmix, a.mix_probability, a.mix_switch)
        return {"loss": F.cross_entropy(self.model(images).float(), targets)}

    @torch.no_grad()
    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        """Return sums and counts of ``top1``, ``top5`` (with more than five classes) and ``loss``."""
        logits, label = self.logits(batch), batch["label"]
        count = torch.tensor(len(label), device=logits.device)
        ranked = logits.topk(min(5, logits.shape[1])).indices == label.unsqueeze(1)
        sums = {"top1": ranked[:, 0].sum(), "loss": F.cross_entropy(logits, label, reduction="sum")}
        if logits.shape[1] > 5:
            sums["top5"] = ranked.any(dim=1).sum()
        return {name: (value, count) for name, value in sums.items()}

    def logits(self, batch: dict[str, Any]) -> Tensor:
        """Score a batch: ``(B, K)`` float32."""
        return self.model(self.normalise(batch["image"])).float()


def smooth_targets(label: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """Return ``(B, K)`` targets: ``1 - smoothing`` at the label plus ``smoothing / K`` everywhere.

    Source: Szegedy et al. 2016, Rethinking the Inception Architecture, section 7.
    """
    return F.one_hot(label, num_classes).float() * (1.0 - smoothing) + smoothing / num_classes
