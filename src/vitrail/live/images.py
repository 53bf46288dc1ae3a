"""The images that were opened, as each model takes them: what a window holds of an image is a few hundred kilobytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from vitrail.config import Preprocessing
from vitrail.data.item import EncodedItem, Item, digest64
from vitrail.data.transforms import eval_transform
from vitrail.errors import ConfigError, VitrailError
from vitrail.live.caches import Newest

MOST_IMAGES = 24
"""Images that are held; of an older one the page sends the file again."""

THUMBNAIL = 96
"""Longer side in pixels of the small images to choose from."""


class NotHeld(VitrailError):
    """An image is no longer held."""


@dataclass(frozen=True)
class HeldImage:
    """An image as each model takes it.

    Attributes:
        key: names it.
        name: what the user called it.
        size: width and height of the image in pixels.
        pixels: ``(1, C, H, W)`` uint8 for each model.
        boxes: for each model the part of the image that it sees: left, top, right and bottom as shares of its sides.
    """

    key: str
    name: str
    size: tuple[int, int]
    pixels: tuple[Tensor, ...]
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Sample:
    """An image that is offered to choose.

    Attributes:
        item: the image.
        name: what it is called.
        label: its class; "" where it is not known.
    """

    item: Item
    name: str
    label: str = ""


def seen_part(preprocessing: Preprocessing, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part of an image that a model sees: left, top, right and bottom as shares of the image's sides.

    Args:
        preprocessing: how images become the model's input.
        size: width and height of the image in pixels.
    """
    if preprocessing.resize == "squash":
        return 0.0, 0.0, 1.0, 1.0
    height, width = preprocessing.image_size
    tall, wide = (math.floor(side / preprocessing.crop_fraction) for side in (height, width))
    scale = max(tall / size[1], wide / size[0])
    across, down = min(1.0, width / (scale * size[0])), min(1.0, height / (scale * size[1]))
    return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2


class ImageStore:
    """The newest images of a window.

    Args:
        preprocessings: of each model.
        samples: images that are offered to choose.
    """

    def __init__(self, preprocessings: Sequence[Preprocessing], samples: Sequence[Sample] = ()) -> None:
        self._preprocessings = tuple(preprocessings)
        self.samples = tuple(samples)
        self._held: Newest[HeldImage] = Newest(MOST_IMAGES)
        self._thumbnails: Newest[Image.Image] = Newest(MOST_IMAGES)

    def add(self, content: bytes, name: str) -> HeldImage:
        """Open the bytes of an image file.

        Raises:
            ImageError: they are no image that vitrail opens.
        """
        return self._opened(f"{digest64(content):016x}", name, EncodedItem(name, content))

    def sample(self, number: int) -> HeldImage:
        """Open an image that was offered.

        Raises:
            ConfigError: there is no such number.
            ImageError: it cannot be read any more.
        """
        chosen = self._sample(number)
        return self._opened(f"sample-{number}", chosen.name, chosen.item)

    def thumbnail(self, number: int) -> Image.Image:
        """Return an image that was offered, small; errors are those of `sample`."""
        item = self._sample(number).item

        def small() -> Image.Image:
            image = item.open(3, enough=THUMBNAIL)
            image.thumbnail((THUMBNAIL, THUMBNAIL))
            return image

        return self._thumbnails.made(number, small)

    def held(self, key: str) -> HeldImage:
        """Return an image that was opened.

        Raises:
            NotHeld: others have taken its place, or it never was.
        """
        found = self._held.get(key)
        if found is None:
            raise NotHeld("this image is no longer held; open it again")
        return found

    def _sample(self, number: int) -> Sample:
        if not 0 <= number < len(self.samples):
            raise ConfigError(f"there is no image {number}; {len(self.samples)} are offered, counted from 0")
        return self.samples[number]

    def _opened(self, key: str, name: str, item: Item) -> HeldImage:
        known = self._held.get(key)
        if known is not None:
            return known
        read = {channels: item.open(channels) for channels in {one.channels for one in self._preprocessings}}
        made = {one: eval_transform(one)(read[one.channels])[None] for one in set(self._preprocessings)}
        size = next(iter(read.values())).size
        boxes = tuple(seen_part(one, size) for one in self._preprocessings)
        return self._held.put(key, HeldImage(key, name, size, tuple(made[one] for one in self._preprocessings), boxes))


__all__ = ["HeldImage", "ImageStore", "NotHeld", "Sample", "seen_part"]
