"""One sample: an image, decoded, augmented and labelled, the same whichever process draws it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from vitrail.data.cache import open_cache
from vitrail.data.item import Item
from vitrail.data.sources import Images
from vitrail.errors import DataError, ImageError
from vitrail.seeding import in_turn

Sample = dict[str, Any]
Key = tuple[int, ...]
"""(epoch, index), or (epoch, index, repeat) where an epoch shows an image more than once."""

DAMAGED_IN_A_ROW = 100
"""So many unreadable images in a row are no accident: the search for a readable one ends."""


class Samples(Dataset[Sample]):
    """The images of one split as samples; ``samples[epoch, index]`` is a dict.

    A sample holds ``image`` (uint8, (C, H, W)), ``index`` (int), ``label`` (int, where there are labels) and
    what ``extra`` adds. Where the transform makes several views of an image, ``views`` stands in place of ``image``.
    Its random numbers come from torch's global generator on the CPU, seeded from the seed and the key and put back
    afterwards: an augmentation belongs to the sample, and not to the process, the worker or the step that draws it.

    Args:
        images: the images and their labels.
        transform: an image of mode RGB or L to a uint8 tensor (C, H, W), as `train_transform` makes it, or to a tuple
            of them: several views, whose sizes may differ.
        seed: of everything that is random here.
        channels: 3 for colour, 1 for grey.
        extra: called with the image tensor (or the tuple of views), returns more entries of the sample (a mask, say).
        cache: keep decoded images in memory: "on", "off", or "auto" where all of them fit easily.
        views: how many random views of an image there are, epoch e showing view e mod ``views``; 0: no end of them.
    """

    def __init__(
        self,
        images: Images,
        transform: Callable[[Image.Image], Tensor | tuple[Tensor, ...]],
        seed: int = 0,
        channels: int = 3,
        extra: Callable[[Any], dict[str, Any]] | None = None,
        cache: Literal["auto", "on", "off"] = "auto",
        views: int = 0,
    ) -> None:
        self.images = images
        self.transform = transform
        self.seed = seed
        self.channels = channels
        self.extra = extra
        self.views = views
        self._cache = open_cache(images.items, self._decode, cache)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> Sample:
        """Return the sample of a key.

        Raises:
            ImageError: the image cannot be read.
        """
        return self._sample(key, key[1])

    def undamaged(self, key: Key) -> tuple[Sample, list[ImageError]]:
        """Return the sample of a key; where its image cannot be read, the next one takes its place.

        Returns:
            The sample, and the errors of the images that were passed over.

        Raises:
            DataError: `DAMAGED_IN_A_ROW` images in a row, or all there are, cannot be read.
        """
        damaged: list[ImageError] = []
        for offset in range(min(len(self), DAMAGED_IN_A_ROW)):
            try:
                return self._sample(key, (key[1] + offset) % len(self)), damaged
            except ImageError as error:
                damaged.append(error)
        raise DataError(f"{len(damaged)} images in a row cannot be read, the first being {damaged[0]}")

    def _sample(self, key: Key, index: int) -> Sample:
        """Show image ``index`` with the random numbers of ``key``."""
        image = self._image(index)
        with seeded(self.seed, *self._stream(key)):
            pixels = self.transform(image)
            sample: Sample = {"views" if isinstance(pixels, tuple) else "image": pixels, "index": index}
            if self.images.labels is not None:
                sample["label"] = self.images.labels[index]
            if self.extra is not None:
                sample.update(self.extra(pixels))
        return sample

    def _stream(self, key: Key) -> Key:
        """Return what the random numbers of a key depend on: on its epoch, or on which of the fixed views it shows."""
        return (key[0] % self.views, key[1]) if self.views else key

    def _image(self, index: int) -> Image.Image:
        item = self.images.item(index)
        if self._cache is None or item.path is None:
            return self._decode(item)
        image = self._cache.get(index)
        if image is None:
            image = self._decode(item)
            self._cache.put(index, image)
        return image

    def _decode(self, item: Item) -> Image.Image:
        return item.open(self.channels, enough=getattr(self.transform, "enough", None))


def seed_of(*parts: int) -> int:
    """Hash whole numbers into a seed of 63 bits; unlike a sum, no two neighbours share a stream."""
    digest = hashlib.blake2b(repr([int(part) for part in parts]).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@contextmanager
def seeded(*parts: int) -> Iterator[None]:
    """Seed torch's global CPU generator from whole numbers, and put its state back at the end."""
    with in_turn():
        state = torch.get_rng_state()
        # Not torch.manual_seed, which would also seed the accelerators.
        torch.default_generator.manual_seed(seed_of(*parts))
        try:
            yield
        finally:
            torch.set_rng_state(state)


__all__ = ["Key", "Sample", "Samples", "seed_of", "seeded"]
