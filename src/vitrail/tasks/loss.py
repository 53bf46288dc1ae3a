"""What the losses of all tasks share: a model, its normalisation, and what is asked of its parameters."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from vitrail.config import Preprocessing
from vitrail.data.normalise import Normalise


class ModelLoss(nn.Module):
    """A model and what it learns by; each task adds ``forward`` and ``measure`` (`vitrail.training.interfaces`).

    Args:
        model: what learns.
        preprocessing: how its images are normalised.
    """

    model: Any

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        self.normalise = Normalise(preprocessing.mean, preprocessing.std)

    def export_state(self) -> dict[str, Tensor]:
        """Return the model's weights under its own names: what a checkpoint holds."""
        return self.model.state_dict()


class SupervisedLoss(ModelLoss):
    """The loss of a head on a backbone, whose layers may learn at different rates."""

    def __init__(self, model: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__(model, preprocessing)
        self.depth: int = self.model.depth

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to, for layer-wise decay of the learning rate."""
        return self.model.layer_of(name.removeprefix("model."))

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {f"model.{name}" for name in self.model.no_weight_decay()}


class MaskedLoss(ModelLoss):
    """The loss of a model that sees an image and which of its patches are hidden."""

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` for a batch with ``image`` (B, C, H, W) uint8 and ``mask`` (B, N), 1 = hidden."""
        return {"loss": self.model.loss(self.normalise(batch["image"]), batch["mask"])}
