"""Images to the class of every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal, cast

import numpy as np
from PIL import Image
from torch import Tensor

from vitrail.config import pair
from vitrail.console import percent
from vitrail.data.cuts import Whole, scaled
from vitrail.data.segments import SegmentImages, SegmentSamples
from vitrail.data.sources import Images
from vitrail.heads.dense import dense_of
from vitrail.heads.sliding_window import check_test, classes_of
from vitrail.settings import Scoring
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.segmentation.loss import Segmentation
from vitrail.training.interfaces import Batch
from vitrail.training.measure import Each, add_up
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
        options = scoring_options(scoring or Scoring())
        super().__init__(Segmentation(model, description.preprocessing, **options), description, runtime)

    def __call__(self, images: Sequence[Image.Image]) -> list[PixelClasses]:
        """Return the class of every pixel of each image."""
        return [self._classes(image) for image in images]

    def totals(self, batches: Iterable[Batch], each: Each | None = None) -> dict[str, tuple[list[float], list[float]]]:
        """Return the sums and counts of `Segmentation.measure` over the images of all processes, by name.

        Args:
            batches: of this process.
            each: follows batch by batch.
        """
        with self.computing():
            return add_up(self.module, batches, each)

    def input_of(self, image: Image.Image) -> Tensor:
        """Return an image as it is scaled for the model: uint8 ``(1, C, h, w)``, on the model's device."""
        return scaled(image, dense_of(self.description.model).short_side)[None].to(self.runtime.device)

    def samples(self, images: Images) -> SegmentSamples:
        """Return whole images, each in its own size with the class of every pixel."""
        return whole_images(images, self.description)

    def _classes(self, image: Image.Image) -> PixelClasses:
        pixels = self.input_of(image)
        with self.computing():
            found = classes_of(self.module.predict(pixels, (image.height, image.width)))
        return PixelClasses(found[0].cpu().numpy(), self.description.class_names, self.module.window_of(pixels))


def whole_images(
    images: Images, description: Description, cache: Literal["auto", "on", "off"] = "off"
) -> SegmentSamples:
    """Return images as a segmenter is measured on them: `SegmentSamples` of whole images in sizes of their own."""
    whole, channels = Whole(dense_of(description.model).short_side), description.preprocessing.channels
    return SegmentSamples(cast(SegmentImages, images), whole, 0, channels, cache, own_sizes=True)


def in_windows(count: int, window: tuple[int, int]) -> str:
    """Say that images were scored by sliding window."""
    what = "1 large image was" if count == 1 else f"{count:,} large images were"
    return f"{what} scored by a sliding window of {window[0]} x {window[1]} pixels (--scoring.window takes others)"


def scoring_options(scoring: Scoring) -> dict[str, Any]:
    """Return how a segmenter scores, as `Segmentation` takes it.

    Raises:
        ConfigError: that cannot work.
    """
    options = dict(vars(scoring))
    options["window"] = pair(scoring.window) if scoring.window else None
    check_test(options["window"], scoring.overlap, scoring.scales)
    return options
