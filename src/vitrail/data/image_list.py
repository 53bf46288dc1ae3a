"""Which images a run learned from and which it held out, by their content: what each of its checkpoints keeps.

A list is recognised again wherever its images lie: an image is known by a fingerprint of its bytes, and by its path
below the data set's folder only where several images have the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.data.item import Item, digest64, item_of
from vitrail.data.objects import ObjectImages
from vitrail.data.segments import SegmentImages
from vitrail.data.sources import Images, Source
from vitrail.errors import DataError
from vitrail.paths import user_path
from vitrail.serialize import read_regular

FILE = "images.tsv.gz"
"""The list's name in a checkpoint: text, one image a line."""

TRAIN, VALIDATION, TEST, UNUSED, GONE = "train", "validation", "test", "unused", "gone"
"""What an image was to a run: learned from, held out (two kinds), left out by ``--labels``, or learned from and since
removed from the data."""

SPLITS = (TRAIN, VALIDATION, TEST, UNUSED, GONE)
LEARNED_FROM = frozenset({TRAIN, GONE})

PER_IMAGE = frozenset({"items", "names", "labels", "annotated", "masks"})
"""What `Images` and its kin have one of for each image."""
LARGEST_LIST = 2**30
"""Most bytes of a list, unpacked: some ten million images."""
FREE_UNPACKING, MOST_UNPACKING = 2**26, 50
"""A list may unpack to so many bytes, and beyond them to so many times its size: fingerprints are random, so that a
line of a hundred bytes never shrinks below ten."""
SKETCH = 64
"""So many of the smallest fingerprints stand in a checkpoint's ``config.json``: by them the data are recognised."""


@dataclass(frozen=True)
class ImageList:
    """The images of a run.

    Attributes:
        names: for each image its path below the data set's folder with ``/``, or its name where it is no file.
        prints: for each image 64 bits of a digest of its size and content.
        labels: for each image the number of its class, or 64 bits of a digest of its annotations or mask; 0 without.
        splits: for each image one of `SPLITS`.
        class_names: the class with number k is ``class_names[k]``; empty without labels.
        chosen_by_seed: whether the run itself held out the validation images, as the data had no such split.
    """

    names: tuple[str, ...]
    prints: tuple[int, ...]
    labels: tuple[int, ...]
    splits: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    chosen_by_seed: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def counts(self) -> dict[str, int]:
        """Return how many images there are of each split, in the order of the list."""
        return dict(Counter(self.splits))

    def contents(self, splits: Collection[str]) -> set[int]:
        """Return the fingerprints of the images in some splits."""
        return {content for content, split in zip(self.prints, self.splits, strict=True) if split in splits}

    def digest(self, split: str) -> str:
        """Digest names, content and labels of a split's images, in any order: 32 hexadecimal digits."""
        rows = zip(self.names, self.prints, self.labels, self.splits, strict=True)
        lines = sorted(f"{name}\0{content:x}\0{label:x}" for name, content, label, own in rows if own == split)
        return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def summary(self) -> dict[str, Any]:
        """Return what a checkpoint's ``config.json`` says of the list: counts, digests, and a sketch (JSON values)."""
        return {
            "images": {split: {"count": n, "digest": self.digest(split)} for split, n in self.counts().items()},
            "sketch": [f"{content:016x}" for content in sorted(self.contents(LEARNED_FROM))[:SKETCH]],
        }

    def pack(self) -> bytes:
        """Return the content of `FILE`: a line about the list, then one for each image; compressed."""
        head = {"format": 1, "classes": self.class_names, "chosen_by_seed": self.chosen_by_seed}
        rows = zip(self.splits, self.prints, self.labels, self.names, strict=True)
        lines = [f"{split}\t{content:016x}\t{label:x}\t{json.dumps(name)}" for split, content, label, name in rows]
        return gzip.compress("\n".join([json.dumps(head), *lines, ""]).encode(), compresslevel=1, mtime=0)


def read_list(checkpoint: Path) -> ImageList | None:
    """Read the list of a checkpoint folder; None where it has none, as those written by older versions.

    Raises:
        DataError: the list is damaged.
    """
    path = checkpoint / FILE
    try:
        packed = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error})") from None
    try:
        most = min(LARGEST_LIST, max(FREE_UNPACKING, MOST_UNPACKING * len(packed)))
        with gzip.open(io.BytesIO(packed), "rb") as file:
            text = file.read(most + 1)
        if len(text) > most:
            raise ValueError(f"its {len(packed):,} bytes unpack to more than {most:,}")
        return _parse(text.decode())
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); take another checkpoint of the run") from None


def _parse(text: str) -> ImageList:
    first, *lines = text.removesuffix("\n").split("\n")
    head = json.loads(first)
    rows = [line.split("\t") for line in lines]
    names = tuple(json.loads(row[3]) for row in rows)
    splits = tuple(row[0] for row in rows)
    classes = tuple(head["classes"])
    if not all(isinstance(text, str) for text in (*names, *classes)) or not set(splits) <= set(SPLITS):
        raise ValueError("it is no list of images")
    prints, labels = (tuple(int(row[place], 16) for row in rows) for place in (1, 2))
    return ImageList(names, prints, labels, splits, classes, bool(head["chosen_by_seed"]))


def list_images(parts: Iterable[tuple[str, Images]], root: Path, class_names: Sequence[str] = ()) -> ImageList:
    """List images with the splits they belong to.

    Args:
        parts: each split's name, one of `SPLITS`, and its images.
        root: the data set's folder.
        class_names: of the labels.
    """
    names: list[str] = []
    prints: list[int] = []
    labels: list[int] = []
    splits: list[str] = []
    for split, images in parts:
        items = [images.item(number) for number in range(len(images))]
        names += [name_below(root, item) for item in items]
        prints += [item.identity() for item in items]
        labels += _labels(images)
        splits += [split] * len(images)
    return ImageList(tuple(names), tuple(prints), tuple(labels), tuple(splits), tuple(class_names))


def root_of(data: str | Path) -> Path:
    """Return the folder that the names of a data set's images begin below; of a CSV file that in which it lies."""
    path = user_path(data)
    return path if path.is_dir() else path.parent


def name_below(root: Path, item: Item) -> str:
    """Return an image's path below a folder, the whole path where it lies elsewhere, its name where it is no file."""
    if item.path is None:
        return item.name
    return str(item.path).removeprefix(f"{root}{os.sep}").replace(os.sep, "/")


def _labels(images: Images) -> list[int]:
    """Return what tells whether an image's labels have changed; drawn scenes' never do."""
    if images.labels is not None:
        return list(images.labels)
    if isinstance(images, SegmentImages):
        return [_of_mask(mask) for mask in images.masks]
    if isinstance(images, ObjectImages):
        return [_of_annotations(getattr(one, "annotations", ())) for one in images.annotated]
    return [0] * len(images)


def _of_mask(mask: Any) -> int:
    if isinstance(mask, np.ndarray):
        return digest64(repr(mask.shape).encode(), np.ascontiguousarray(mask).tobytes())
    return item_of(mask).identity() if isinstance(mask, Path) else 0


def _of_annotations(annotations: Sequence[dict[str, Any]]) -> int:
    """Digest classes and boxes, in any order."""
    known = sorted(repr((one["class"], [float(n) for n in one["bbox"]], one.get("iscrowd"))) for one in annotations)
    return digest64("\n".join(known).encode())


def concatenated(first: Images, *others: Images) -> Images:
    """Return the images of several splits of a data set as one."""

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in (first, *others)]
        return None if values[0] is None else tuple(itertools.chain(*values))

    return replace(first, **{field.name: joined(field.name) for field in fields(first) if field.name in PER_IMAGE})


def parts_of(source: Source) -> list[tuple[str, Images]]:
    """Return the splits that a data set has, with their names."""
    parts = {TRAIN: source.train, VALIDATION: source.validation, TEST: source.test}
    return [(name, part) for name, part in parts.items() if part is not None and len(part)]


__all__ = ["FILE", "ImageList", "concatenated", "list_images", "parts_of", "read_list", "root_of"]
