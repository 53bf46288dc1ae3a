"""Which images are put under stress, and their pixels as a model takes them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vitrail.config import Preprocessing
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.data.transforms import eval_transform
from vitrail.errors import DataError, ImageError, none_readable
from vitrail.stress.image import StressImage
from vitrail.stress.partners import partners_of
from vitrail.stress.randomness import rank_of

PART = 256
"""Images held as pixels at a time, and measured as a unit."""


@dataclass(frozen=True)
class ChosenImages:
    """Images with labels, all of which can be read.

    Attributes:
        images: the images.
        identities: 64 bits for each.
        damaged: those left out, each with the reason.
        preprocessing: how they become a model's input.
    """

    images: Images
    identities: tuple[int, ...]
    damaged: tuple[str, ...]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> tuple[int, ...]:
        """The class of each image."""
        assert self.images.labels is not None
        return self.images.labels

    @property
    def parts(self) -> list[range]:
        """The numbers of the images of each part."""
        return [range(start, min(start + PART, len(self))) for start in range(0, len(self), PART)]

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of which images they are, and of their classes."""
        return hashlib.blake2b(repr((self.identities, self.labels)).encode(), digest_size=16).hexdigest()

    def partners(self, seed: int) -> list[int | None]:
        """Return for each image the number of the one that lends it its texture."""
        if seed not in self._partners:
            self._partners[seed] = partners_of(self.identities, self.labels, seed)
        return self._partners[seed]

    def read(self, numbers: Sequence[int]) -> list[StressImage]:
        """Return some images as pixels."""
        return [self._image(number) for number in numbers]

    def with_partners(self, images: Sequence[StressImage], numbers: Sequence[int], seed: int) -> list[StressImage]:
        """Return images with those that lend them their texture.

        Args:
            images: some, as `read` gives them.
            numbers: their numbers.
            seed: of the partners.
        """
        known, partners = dict(zip(numbers, images, strict=True)), self.partners(seed)
        found = []
        for number, image in zip(numbers, images, strict=True):
            partner = partners[number]
            assert partner is not None
            found.append(dataclasses.replace(image, partner=known.get(partner) or self._image(partner)))
        return found

    def _image(self, number: int) -> StressImage:
        pixels = self._samples[0, number]["image"].contiguous().numpy()
        return StressImage(pixels, self.identities[number], self.labels[number], self.images.names[number])

    @cached_property
    def _partners(self) -> dict[int, list[int | None]]:
        return {}

    @cached_property
    def _samples(self) -> Samples:
        return Samples(self.images, eval_transform(self.preprocessing), 0, self.preprocessing.channels)


def choose_images(images: Images, preprocessing: Preprocessing, count: int, data: str) -> ChosenImages:
    """Choose so many images that can be read, of every class in proportion, by their content alone.

    Args:
        images: with labels.
        preprocessing: of one of the models.
        count: how many; 0 for all of them.
        data: what the user called them.

    Raises:
        DataError: none can be read.
    """
    assert images.labels is not None
    identities = [images.item(number).identity() for number in range(len(images))]
    order = by_class(identities, images.labels)
    wanted, kept, damaged = count or len(images), [], []
    for number in order:
        if len(kept) == wanted:
            break
        try:
            images.item(number).open(preprocessing.channels, enough=max(preprocessing.image_size))
            kept.append(number)
        except ImageError as error:
            damaged.append(str(error))
    if not kept:
        raise DataError(none_readable(len(images), damaged[0], data))
    kept.sort()
    chosen = tuple(identities[number] for number in kept)
    return ChosenImages(images.subset(kept), chosen, tuple(sorted(damaged)), preprocessing)


def by_class(identities: Sequence[int], labels: Sequence[int]) -> list[int]:
    """Order images so that the first few have every class in proportion; within a class chance decides.

    Args:
        identities: of the images.
        labels: their classes.

    Returns:
        Their numbers.
    """
    ranks = [rank_of(identity, "chosen") for identity in identities]
    sizes, seen = Counter(labels), Counter[int]()
    shares = np.empty(len(labels))
    for number in sorted(range(len(labels)), key=lambda number: (ranks[number], number)):
        label = labels[number]
        shares[number] = (seen[label] + 0.5) / sizes[label]
        seen[label] += 1
    return sorted(range(len(labels)), key=lambda number: (shares[number], ranks[number], number))


__all__ = ["ChosenImages", "by_class", "choose_images"]
