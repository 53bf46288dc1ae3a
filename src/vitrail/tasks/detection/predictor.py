"""Images to the objects in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, cast

import torch
from PIL import Image

from vitrail.console import percent
from vitrail.data.objects import ObjectImages, ObjectSamples, no_objects
from vitrail.data.sources import Images
from vitrail.heads.detections import Detections
from vitrail.tasks.detection.average_precision import CocoResults, to_results
from vitrail.tasks.detection.found import find_all, whole_image
from vitrail.tasks.detection.loss import Detection
from vitrail.tasks.predictor import Predictor
from vitrail.training.interfaces import Batch
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description

THRESHOLD = 0.5
"""Score below which an object is left out."""


@dataclass(frozen=True)
class FoundObjects:
    """What a detector finds in an image.

    Attributes:
        detections: boxes, scores, classes and, where the head has any, masks; best first, in pixels of the image.
        class_names: of all classes, in the order of their numbers.
        size: width and height of the image, in pixels.
    """

    detections: Detections
    class_names: tuple[str, ...]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.detections)

    def objects(self) -> tuple[dict[str, Any], ...]:
        """Return of each object ``class``, ``score``, ``box`` (left, top, width, height) and any ``segmentation``."""
        width, height = self.size
        return tuple(
            {
                "class": self.class_names[one["category_id"] - 1],
                "score": one["score"],
                "box": one["bbox"],
                **({"segmentation": one["segmentation"]} if "segmentation" in one else {}),
            }
            for one in to_results(self.detections, 0, height, width)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return ``size`` and ``objects``; masks are packed run lengths, as COCO has them."""
        return {"size": self.size, "objects": list(self.objects())}

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(one['class'])}</td><td>{percent(one['score'])}</td>"
            f"<td>{' '.join(f'{side:.0f}' for side in one['box'])}</td></tr>"
            for one in self.objects()
        )
        return f"<table><tr><th>object</th><th>score</th><th>left top width height</th></tr>{rows}</table>"


class ObjectPredictor(Predictor[FoundObjects]):
    """Images to the objects in them, each image looked at alone."""

    def __init__(self, model: Any, description: Description, runtime: Runtime, threshold: float = THRESHOLD) -> None:
        super().__init__(Detection(model, description.preprocessing), description, runtime)
        self.threshold = threshold
        self.transform = whole_image(description)

    def __call__(self, images: Sequence[Image.Image]) -> list[FoundObjects]:
        """Return the objects of each image whose score reaches the threshold."""
        return [self._find(image) for image in images]

    def results(self, batches: Iterable[Batch]) -> tuple[CocoResults, tuple[int, ...]]:
        """Return all objects in the images of all processes, whatever their scores, and which images were looked at."""
        with self.computing():
            return find_all(self.module, batches)

    def input_of(self, image: Image.Image) -> torch.Tensor:
        """Return an image as it is scaled for the model: uint8 ``(1, C, h, w)``, on the model's device."""
        return self.transform(image, no_objects(image.size))[0][None].to(self.runtime.device)

    def samples(self, images: Images) -> ObjectSamples:
        """Return images as the model takes them, each with the size it has itself."""
        channels = self.description.preprocessing.channels
        return ObjectSamples(cast(ObjectImages, images), self.transform, 0, channels, False, "off")

    def _find(self, image: Image.Image) -> FoundObjects:
        pixels = self.input_of(image)
        size, original = torch.tensor([pixels.shape[2:]]), torch.tensor([[image.height, image.width]])
        with self.computing():
            (found,) = self.module.find({"image": pixels, "size": size, "original": original})
        kept = found.keep(found.scores >= self.threshold).cpu()
        return FoundObjects(kept, self.description.class_names, image.size)
