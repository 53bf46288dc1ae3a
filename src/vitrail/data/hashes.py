"""SHA-256 of a data set: of the content of its images, their names, classes and splits, wherever the set lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitrail.data.image_list import name_below
from vitrail.data.item import Item
from vitrail.data.sources import Images
from vitrail.errors import ImageError

CHUNK = 1 << 20
UNREADABLE = "unreadable"
"""Stands for the content of an image that cannot be read."""


@dataclass(frozen=True)
class DataHash:
    """What stands for a list of images.

    Attributes:
        sha256: 64 hexadecimal digits.
        images: how many images were hashed.
        unreadable: how many of them cannot be read.
    """

    sha256: str
    images: int
    unreadable: int


def data_sha256(
    parts: Sequence[tuple[str, Images]],
    root: Path,
    class_names: Sequence[str] = (),
    done: Callable[[int], None] = lambda images: None,
    known: dict[Path, str] | None = None,
) -> DataHash:
    """Return one SHA-256 for the images of some splits, in whatever order they come.

    It is that of the sorted lines ``SHA256 SPLIT CLASS NAME``, each ended by a line break, with a tab between the four:
    of the file's bytes, as ``sha256sum`` prints it (of an image that is no file, of its pixels row by row), the split,
    the name of its class, and its path below the data set's folder.

    Args:
        parts: each split's name and its images.
        root: the data set's folder.
        class_names: of the labels; without, the classes are empty.
        done: called with how many images have been hashed.
        known: hashes of files that were read before, which are not read again; those read now are added.
    """
    lines = []
    for split, images in parts:
        for number in range(len(images)):
            item = images.item(number)
            label = class_names[images.labels[number]] if images.labels is not None and class_names else ""
            lines.append("\t".join((_remembered(item, known), split, label, name_below(root, item))) + "\n")
            done(len(lines))
    text = "".join(sorted(lines)).encode("utf-8", "surrogateescape")
    unreadable = sum(line.startswith(UNREADABLE) for line in lines)
    return DataHash(hashlib.sha256(text).hexdigest(), len(lines), unreadable)


def _remembered(item: Item, known: dict[Path, str] | None) -> str:
    if known is None or item.path is None:
        return item_sha256(item)
    if item.path not in known:
        known[item.path] = item_sha256(item)
    return known[item.path]


def item_sha256(item: Item) -> str:
    """Return the SHA-256 of a file's bytes, or of the pixels of what is no file; `UNREADABLE` of what cannot be read.

    A file whose image is damaged has bytes like any other.
    """
    try:
        if item.path is None:
            image = item.open()
            return hashlib.sha256(image.tobytes()).hexdigest()
        found = hashlib.sha256()
        if not item.path.is_file():  # a pipe would keep its reader waiting
            return UNREADABLE
        with item.path.open("rb") as file:
            while part := file.read(CHUNK):
                found.update(part)
    except (ImageError, OSError):
        return UNREADABLE
    return found.hexdigest()


__all__ = ["DataHash", "data_sha256", "item_sha256"]
