"""Images to the class of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image

from vitrail.config import pair
from vitrail.console import percent
from vitrail.data.cuts import scaled
from vitrail.heads.sliding_window import check_test, classes_of
from vitrail.settings import Scoring
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.segmentation.loss import Segmentation
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description


@dataclass(frozen=True)
class PixelClasses:
    """What a segmenter says of an image.

    Attributes:
        classes: uint8 ``(H, W)``, the number of the class of every pixel of the image.
        class_names: of all classes, in the order of their numbers.
        window: height and width, in pixels, of the windows by which the image was scored since it is large; None if it
            was scored as a whole or as was asked for.
    """

    classes: np.ndarray
    class_names: tuple[str, ...]
    window: tuple[int, int] | None = None

    def shares(self) -> tuple[tuple[str, float], ...]:
        """Return the classes that are there and their share of the pixels, largest first."""
        counts = np.bincount(self.classes.ravel(), minlength=len(self.class_names))
        order = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
        return tuple((self.class_names[number], float(counts[number] / self.classes.size)) for number in order)

    def to_dict(self) -> dict[str, Any]:
        """Return ``classes`` as rows of class numbers, and ``shares`` of the pixels by class."""
        return {"classes": self.classes.tolist(), "shares": dict(self.shares())}

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{percent(share)}</td></tr>" for name, share in self.shares())
        return f"<table><tr><th>class</th><th>pixels</th></tr>{rows}</table>"


class PixelPredictor(Predictor[PixelClasses]):
    """Images to the class of every pixel, each image scored alone at its own size."""

    def __init__(self, model: Any, description: Description, runtime: Runtime, scoring: Scoring | None = None) -> None:
        super().__init__(model, description, runtime)
        options = scoring_options(scoring or Scoring())
        self.task = Segmentation(model, description.preprocessing, **options).to(runtime.device).eval()

    def __call__(self, images: Sequence[Image.Image]) -> list[PixelClasses]:
        """Return the class of every pixel of each image."""
        return [self._classes(image) for image in images]

    def _classes(self, image: Image.Image) -> PixelClasses:
        before = self.task.in_parts
        with self.runtime.precision.autocast():
            classes = classify_pixels(self.task, image, self.description, self.runtime.device)
        window = self.task.limit.window if self.task.in_parts > before else None
        return PixelClasses(classes, self.description.class_names, window)


def scoring_options(scoring: Scoring) -> dict[str, Any]:
    """Return how a segmenter scores, as `Segmentation` takes it.

    Raises:
        ConfigError: that cannot work.
    """
    options = dict(vars(scoring))
    options["window"] = pair(part) if (part := options.pop("part")) else None
    check_test(options["window"], scoring.overlap, scoring.scales)
    return options


@torch.inference_mode()
def classify_pixels(
    task: Segmentation, image: Image.Image, description: Description, device: torch.device
) -> np.ndarray:
    """Return the class of every pixel of an image of mode RGB or L, uint8 ``(H, W)``."""
    pixels = scaled(image, description.dense["short_side"])[None].to(device)
    found = task.predict(pixels, (image.height, image.width))
    return classes_of(found)[0].cpu().numpy()
