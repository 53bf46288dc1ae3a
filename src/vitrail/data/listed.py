"""All images that a command is to look at, with what is known of each: of a data set, or named one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vitrail.data.csv_files import TABLE_SUFFIXES
from vitrail.data.features import identity
from vitrail.data.item import Item
from vitrail.data.requested import requested_images
from vitrail.data.sources import Images, Source, open_source
from vitrail.errors import DataError
from vitrail.paths import user_path


@dataclass(frozen=True)
class Listed:
    """Images in a fixed order.

    Attributes:
        items: each image.
        labels: the name of its class, or None where it is not known.
        splits: train, validation or test, or None.
        notes: what was decided or left out, each a sentence for the user.
    """

    items: tuple[Item, ...]
    labels: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    notes: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return what each image is called: a file by its path; what is no Unicode of it is written as an escape."""
        called = [item.name if item.path is None else str(item.path) for item in self.items]
        return [name.encode("utf-8", "backslashreplace").decode() for name in called]

    def digest(self) -> str:
        """Digest which images these are, their order, and what is known of them."""
        known = repr((self.names(), self.labels, self.splits)).encode()
        return hashlib.blake2b(identity(self.images()).encode() + known, digest_size=16).hexdigest()

    def images(self, start: int = 0) -> Images:
        """Return the images from one on, as a loader takes them."""
        return _Items(cast(Any, self.items[start:]), None, ())


class _Items(Images):
    """Images of which items are there already."""

    def item(self, number: int) -> Item:
        """Return one."""
        return self.items[number]  # type: ignore[return-value]


def listed_images(data: Any) -> Listed:
    """Return all images of a data set, those of every split, or those of a request.

    Args:
        data: a folder, a CSV file or ``digits``, alone, with labels where there are any; or what `requested_images`
            takes.

    Raises:
        DataError: there is nothing of the kind.
    """
    one = data[0] if isinstance(data, (list, tuple)) and len(data) == 1 else data
    if isinstance(one, (str, Path)) and _is_data_set(str(one)):
        return _of_source(str(one))
    items = requested_images(data)
    unknown = (None,) * len(items)
    return Listed(tuple(items), unknown, unknown)


def _is_data_set(name: str) -> bool:
    path = user_path(name)
    return name == "digits" or path.is_dir() or (path.suffix.lower() in TABLE_SUFFIXES and path.is_file())


def _of_source(name: str) -> Listed:
    """Open a data set with its classes, or without them where it has none, and say why."""
    try:
        source, said = open_source(name, validation_share=0, for_evaluation=True), ()
    except DataError as unlabelled:
        try:
            source = open_source(name, validation_share=0, labels=False, for_evaluation=True)
        except DataError:
            raise unlabelled from None
        said = (f"Without labels: {unlabelled}",)
    items, labels, splits = [], [], []
    for split in ("train", "validation", "test"):
        if (images := getattr(source, split)) is not None:
            items += [images.item(number) for number in range(len(images))]
            labels += _label_names(source, images)
            splits += [split if _has_splits(source) else None] * len(images)
    return Listed(tuple(items), tuple(labels), tuple(splits), (*source.notes, *said))


def _label_names(source: Source, images: Images) -> Sequence[str | None]:
    if images.labels is None:
        return [None] * len(images)
    return [source.class_names[label] for label in images.labels]


def _has_splits(source: Source) -> bool:
    """Whether the data says which images are of which split: alone, all are said to be for training."""
    return source.validation is not None or source.test is not None


__all__ = ["Listed", "listed_images"]
