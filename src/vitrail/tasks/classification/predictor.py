"""Images to the probabilities of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vitrail.console import percent
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.data.transforms import eval_transform
from vitrail.tasks.classification.loss import Classification
from vitrail.tasks.inputs import eval_samples
from vitrail.tasks.predictor import Predictor
from vitrail.training.interfaces import Batch
from vitrail.training.measure import to_device
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description

BATCH_SIZE = 32
"""Images in a forward pass."""


@dataclass(frozen=True)
class ClassProbabilities:
    """What a classifier says of an image.

    Attributes:
        probabilities: float32 ``(K,)`` on the CPU, in [0, 1], adding up to 1.
        class_names: K names, in the same order.
    """

    probabilities: Tensor
    class_names: tuple[str, ...]

    @property
    def label(self) -> str:
        """The class of the highest probability."""
        return self.top(1)[0][0]

    @property
    def probability(self) -> float:
        """The highest probability, in [0, 1]."""
        return self.top(1)[0][1]

    def top(self, count: int = 5) -> tuple[tuple[str, float], ...]:
        """Return the best classes with their probabilities, best first."""
        best = self.probabilities.topk(min(count, len(self.class_names)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return tuple((self.class_names[number], value) for number, value in pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return ``label``, ``probability`` and ``probabilities`` by class."""
        by_class = dict(zip(self.class_names, self.probabilities.tolist(), strict=True))
        return {"label": self.label, "probability": self.probability, "probabilities": by_class}

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{percent(share)}</td></tr>" for name, share in self.top())
        return f"<table>{rows}</table>"


class ClassPredictor(Predictor[ClassProbabilities]):
    """Images to the probabilities of classes, in batches; any size is brought to the model's input size."""

    def __init__(self, model: Any, description: Description, runtime: Runtime, batch_size: int = BATCH_SIZE) -> None:
        super().__init__(Classification(model, description.preprocessing), description, runtime)
        self.batch_size = batch_size
        self.transform = eval_transform(description.preprocessing)

    def __call__(self, images: Sequence[Image.Image]) -> list[ClassProbabilities]:
        """Return the probabilities of every class for each image."""
        found = []
        for start in range(0, len(images), self.batch_size):
            some = images[start : start + self.batch_size]
            found += self.answers(torch.stack([self.transform(image) for image in some]))
        return found

    def answers(self, pixels: Tensor) -> list[ClassProbabilities]:
        """Return the probabilities of every class for images ``(B, C, H, W)`` uint8 of the model's input size."""
        names = self.description.class_names
        parts = pixels.split(self.batch_size)
        return [ClassProbabilities(row, names) for part in parts for row in self.logits({"image": part}).softmax(dim=1)]

    def logits(self, batch: Batch) -> Tensor:
        """Score a batch: ``(B, K)`` float32 on the CPU."""
        with self.computing():
            return self.module.logits(to_device(batch, self.runtime.device)).cpu()

    def scored(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Score a batch: ``(B, K)``, and what the backbone makes of it, ``(B, D)``; float32 on the CPU."""
        with self.computing():
            images = self.module.normalise(to_device(batch, self.runtime.device)["image"])
            inputs = self.model.backbone.head_input(images)
            return self.model.score(inputs).float().cpu(), inputs.float().flatten(1).cpu()

    def samples(self, images: Images) -> Samples:
        """Return images as the model takes them, with their labels."""
        return eval_samples(images, self.description.preprocessing)
