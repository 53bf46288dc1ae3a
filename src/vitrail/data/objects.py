"""Images whose objects are known, each by its class, its box and its mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from PIL import Image
from torch import Tensor

from vitrail.data.samples import Key, Sample, Samples, seeded
from vitrail.data.sources import Images
from vitrail.data.turned import about_turning
from vitrail.errors import DataError


@dataclass(frozen=True)
class Objects:
    """The objects in one image of H x W pixels.

    Attributes:
        boxes: ``(n, 4)`` float32: left, top, right, bottom, in pixels.
        classes: ``(n,)`` int64, from 0.
        masks: ``(n, H, W)`` uint8, 1 inside.
    """

    boxes: Tensor
    classes: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def keep(self, which: Tensor) -> Objects:
        """Return those objects only, by a mask ``(n,)`` of bools."""
        return Objects(self.boxes[which], self.classes[which], self.masks[which])

    def to(self, device: torch.device) -> Objects:
        """Return a copy on a device."""
        return Objects(*(tensor.to(device, non_blocking=True) for tensor in (self.boxes, self.classes, self.masks)))


class Annotated(Protocol):
    """What is known of one image."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image, in pixels."""
        ...

    def objects(self) -> Objects:
        """Return the objects to learn from: crowds are none."""
        ...

    def truth(self) -> list[dict[str, Any]]:
        """Return what is measured against, as COCO's annotations with ``class`` (from 0) for ``category_id``."""
        ...


@dataclass(frozen=True)
class ObjectImages(Images):
    """The images of one split and, for each, its objects.

    Attributes:
        annotated: the objects of each image.
        category_ids: what the data set itself calls each class; without them classes are called 1, 2, ...
    """

    annotated: Sequence[Annotated] = ()
    category_ids: tuple[int | str, ...] = ()

    def subset(self, indices: Iterable[int]) -> ObjectImages:
        """Keep the images with these numbers, in this order."""
        kept = list(indices)
        some = super().subset(kept)
        return ObjectImages(some.items, None, some.names, tuple(self.annotated[i] for i in kept), self.category_ids)


Joint = Callable[[Image.Image, Objects], tuple[Tensor, Objects]]
"""An image of mode RGB or L and its objects to a uint8 tensor (C, H, W) and its objects."""


class ObjectSamples(Samples):
    """Images with their objects as samples.

    A sample holds ``image`` (uint8, (C, H, W)), ``size`` (2,), its height and width, ``original`` (2,), those of the
    image itself, ``index`` and, for training, ``objects`` (`Objects`). Batches fill the images up to a common size.

    Args:
        images: the images and their objects.
        transform: of both together, with torch's global generator for what is random.
        seed: of everything that is random here.
        channels: 3 for colour, 1 for grey.
        with_objects: whether samples hold their objects; measuring asks `ObjectImages` instead.
        cache: keep decoded images in memory, as for `Samples`.
        views: how many random views of an image there are, as for `Samples`.
    """

    def __init__(
        self,
        images: ObjectImages,
        transform: Joint,
        seed: int = 0,
        channels: int = 3,
        with_objects: bool = True,
        cache: Literal["auto", "on", "off"] = "auto",
        views: int = 0,
    ) -> None:
        self.joint, self.annotated, self.with_objects = transform, images.annotated, with_objects
        super().__init__(images, self._image_alone, seed, channels, cache=cache, views=views)

    def _image_alone(self, image: Image.Image) -> Tensor:
        raise NotImplementedError("an image and its objects are transformed together")

    def _sample(self, key: Key, index: int) -> Sample:
        image = self._image(index)
        known = self.annotated[index]
        check_size(image.size, known.size, self.images.names[index], self.images.item(index).path)
        objects = known.objects() if self.with_objects else no_objects(image.size)
        with seeded(self.seed, *self._stream(key)):
            pixels, objects = self.joint(image, objects)
        sample: Sample = {
            "image": pixels,
            "size": torch.tensor(pixels.shape[1:]),
            "original": torch.tensor([image.height, image.width]),
            "index": index,
        }
        return {**sample, "objects": objects} if self.with_objects else sample


def no_objects(size: tuple[int, int]) -> Objects:
    """Return what is in an empty image of this width and height."""
    width, height = size
    none = torch.zeros(0, height, width, dtype=torch.uint8)
    return Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), none)


def check_size(size: tuple[int, int], said: tuple[int, int], name: str, file: Path | None = None) -> None:
    """Refuse annotations that were made for an image of another width and height.

    Args:
        size: of the image.
        said: by its annotations.
        name: of the image.
        file: it is in, if any, to see whether EXIF data turns it.

    Raises:
        DataError: they were.
    """
    if size != said:
        raise DataError(
            f"{name}: the image has {size[0]} x {size[1]} pixels, its annotations say {said[0]} x {said[1]}"
            f"{about_turning(file, size, said)}; "
            "vitrail doctor DATA lists all such images"
        )


__all__ = ["Annotated", "Joint", "ObjectImages", "ObjectSamples", "Objects", "check_size", "no_objects"]
