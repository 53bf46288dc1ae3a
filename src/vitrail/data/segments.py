"""Images with a class for every pixel: a folder of images, and one of index images of the same names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vitrail.data.images import open_indices
from vitrail.data.mask_values import advice, check_lossless
from vitrail.data.samples import Key, Sample, Samples, seeded
from vitrail.data.sources import Images
from vitrail.data.turned import about_turning
from vitrail.errors import DataError

VOID = 255
"""The label of a pixel that counts for nothing; no class has this number."""


class Drawn(Protocol):
    """What knows its own segments, as a drawn scene does."""

    def segments(self) -> np.ndarray:
        """Return the class of every pixel, uint8 ``(H, W)``."""
        ...


Mask = Path | np.ndarray | Drawn
"""A file of indices, uint8 ``(H, W)``, or what draws them."""


@dataclass(frozen=True)
class Labelling:
    """How the values in mask files stand for classes.

    Classes are the values from 0 on, without the ignored one: with 0 ignored (ADE20K), value 1 is class 0. 255 is
    always void.

    Attributes:
        ignore: the value that means void.
        count: how many classes there are; 0 where that is not known yet.
    """

    ignore: int = VOID
    count: int = 0

    def to_classes(self, values: np.ndarray) -> np.ndarray:
        """Turn a file's values into classes, uint8 to uint8; void becomes `VOID`.

        Raises:
            DataError: a value stands for no class.
        """
        classes = self._table()[values]
        if classes.max(initial=0) > VOID:
            wrong = np.unique(values[classes > VOID])
            shown = ", ".join(str(value) for value in wrong[:5])
            raise DataError(
                f"value {shown} is none of the {self.count} classes and not the ignored {self.ignore}; "
                f"{advice(np.unique(values).tolist(), self.count, self.ignore)}"
            )
        return classes.astype(np.uint8)

    def to_values(self, classes: np.ndarray) -> np.ndarray:
        """Turn classes into a file's values, the inverse of `to_classes`."""
        return (classes + (classes >= self.ignore)).astype(np.uint8)

    def _table(self) -> np.ndarray:
        """Return the class of each of the 256 values; above `VOID` for those that have none."""
        values = np.arange(256)
        classes = values - (values > self.ignore)
        if self.count:
            classes[classes >= self.count] = VOID + 1
        classes[[self.ignore, VOID]] = VOID
        return classes


@dataclass(frozen=True)
class SegmentImages(Images):
    """The images of one split and, for each, what every pixel of it shows.

    Attributes:
        masks: for each image a file of values, or the values.
        labelling: how those stand for classes.
    """

    masks: tuple[Mask, ...] = ()
    labelling: Labelling = field(default_factory=Labelling)

    def subset(self, indices: Iterable[int]) -> SegmentImages:
        """Keep the images with these numbers, in this order."""
        kept = list(indices)
        some = super().subset(kept)
        return SegmentImages(some.items, None, some.names, tuple(self.masks[i] for i in kept), self.labelling)

    def segments(self, number: int) -> np.ndarray:
        """Return the class of each pixel of an image, uint8 ``(H, W)``, `VOID` where it counts for nothing.

        Raises:
            ImageError: the mask cannot be read.
            DataError: it holds a value that is no class.
        """
        mask = self.masks[number]
        if isinstance(mask, Path):
            check_lossless(mask)
            values = open_indices(mask)
        else:
            values = mask if isinstance(mask, np.ndarray) else mask.segments()
        try:
            return self.labelling.to_classes(values)
        except DataError as error:
            raise DataError(f"{mask if isinstance(mask, Path) else self.names[number]}: {error}") from None


Transform = Callable[[Image.Image, np.ndarray], tuple[Tensor, Tensor]]
"""An image of mode RGB or L and its segments to uint8 tensors (C, H, W) and (H, W)."""


class SegmentSamples(Samples):
    """Images with a class for every pixel as samples: ``image`` (C, h, w), ``semantic`` (H, W) and ``index``.

    Args:
        images: the images and their masks.
        transform: of both together, with torch's global generator for what is random.
        seed: of everything that is random here.
        channels: 3 for colour, 1 for grey.
        cache: keep decoded images in memory, as for `Samples`.
        own_sizes: images come out in sizes of their own. A sample then holds ``size`` (2,), the height and width of
            the image, and ``shape`` (2,), those of ``semantic``, which outlive the padding of a batch.
        views: how many random views of an image there are, as for `Samples`.
    """

    def __init__(
        self,
        images: SegmentImages,
        transform: Transform,
        seed: int = 0,
        channels: int = 3,
        cache: Literal["auto", "on", "off"] = "auto",
        own_sizes: bool = False,
        views: int = 0,
    ) -> None:
        self.joint = transform
        self.own_sizes = own_sizes
        super().__init__(images, self._image_alone, seed, channels, cache=cache, views=views)

    def _image_alone(self, image: Image.Image) -> Tensor:
        raise NotImplementedError("an image and its segments are transformed together")

    def _sample(self, key: Key, index: int) -> Sample:
        image = self._image(index)
        segments = self.images.segments(index)  # type: ignore[attr-defined]
        check_sizes(image.size, segments, self.images.names[index], self.images.item(index).path)
        with seeded(self.seed, *self._stream(key)):
            pixels, classes = self.joint(image, segments)
        sample: Sample = {"image": pixels, "semantic": classes, "index": index}
        if self.own_sizes:
            sample |= {"size": torch.tensor(pixels.shape[-2:]), "shape": torch.tensor(classes.shape)}
        return sample


def check_sizes(size: tuple[int, int], segments: np.ndarray, name: str, file: Path | None = None) -> None:
    """Refuse a mask that is not as large as its image, and say so where EXIF data of its file is why.

    Raises:
        DataError: it is not.
    """
    height, width = segments.shape
    if size != (width, height):
        why = about_turning(file, size, (width, height))
        raise DataError(f"{name}: the image has {size[0]} x {size[1]} pixels, its mask {width} x {height}{why}")
