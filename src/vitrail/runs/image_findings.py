"""What `vitrail doctor` learns from pixels: copies of one image, and values that use few of their bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from vitrail.data.images import used_bits
from vitrail.errors import ImageError

DEEP_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".pgm", ".pnm"})
"""Lower-case suffixes of files that can have 16 bits a channel."""
FEWER_BITS = (10, 12, 14)
"""Bits of sensors whose values are often stored in 16 bits."""


@dataclass
class Copies:
    """Images met so far, by their pixels, to find the same image again.

    Attributes:
        across_splits: pairs of equal images in different splits, each called ``split: name``.
        across_classes: equal images in two classes of one split, each pair a sentence.
        within: how many images are copies of another one in their split and class.
    """

    across_splits: list[tuple[str, str]] = field(default_factory=list)
    across_classes: list[str] = field(default_factory=list)
    within: int = 0
    _first: dict[bytes, tuple[str, str, str]] = field(default_factory=dict)

    def add(self, image: Image.Image, split: str, name: str, class_name: str = "") -> None:
        """Compare an image with those before it."""
        digest = hashlib.blake2b(repr(image.size).encode() + image.tobytes(), digest_size=16).digest()
        other_split, other, other_class = self._first.setdefault(digest, (split, name, class_name))
        if other_split != split:
            self.across_splits.append((f"{other_split}: {other}", f"{split}: {name}"))
        elif other_class != class_name:
            both = f"{other} ({other_class}) and {name} ({class_name})"
            self.across_classes.append(f"{split}: {both} are the same image in two classes")
        elif other != name:
            self.within += 1

    def notes(self) -> Iterator[str]:
        """Say what is worth knowing and no mistake."""
        if self.within:
            yield f"{self.within:,} images are copies of another one in their split and class."


@dataclass
class Depths:
    """How many of their 16 bits a channel the images of a data set use."""

    images: int = 0
    used: int = 0
    first: str = ""

    def add(self, file: Path, name: str) -> None:
        """Look at a file that can be opened; those of 8 bits say nothing."""
        if file.suffix.lower() not in DEEP_SUFFIXES:
            return
        try:
            bits = used_bits(file)
        except ImageError:
            return
        if bits is not None and bits[0] == 16:
            self.first = self.first or name
            self.images += 1
            self.used = max(self.used, bits[1])

    def mistakes(self) -> Iterator[str]:
        """Say that values of fewer bits are stored in 16, so that all images are nearly black."""
        bits = next((bits for bits in FEWER_BITS if self.used <= bits), None)
        if self.images and self.used > 8 and bits is not None:
            yield (
                f"{self.images:,} images of 16 bits ({self.first}, ...) have no value above {(1 << self.used) - 1:,}: "
                f"{bits}-bit data, which is read as nearly black; multiply by {1 << (16 - bits)}, or save with 8 bits"
            )


__all__ = ["Copies", "Depths"]
