"""From a word, a folder or a CSV file to images with labels, split into training, validation and test."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vitrail.data.class_folders import open_any_folder
from vitrail.data.csv_files import TABLE_SUFFIXES, open_csv
from vitrail.data.file_rules import SPLIT_WORDS
from vitrail.data.item import Item, Stored, item_of
from vitrail.data.labelled_folders import open_labelled_folder
from vitrail.data.listing import Listing, lookalikes
from vitrail.errors import DataError, nearest
from vitrail.paths import user_path

if TYPE_CHECKING:
    from vitrail.data.image_list import ImageList


@dataclass(frozen=True)
class Images:
    """The images of one split, in a fixed order.

    Attributes:
        items: what is kept of each image: its path, or the image where it is in memory or drawn; `item` opens one.
        labels: for each image the number of its class, or None where there are no labels.
        names: for each image what it is called in reports.
    """

    items: Sequence[Stored]
    labels: tuple[int, ...] | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.items)

    def item(self, number: int) -> Item:
        """Return an image, wherever it lies."""
        return item_of(self.items[number], self.names[number])

    @property
    def in_memory(self) -> bool:
        """Whether all images are decoded already."""
        return all(self.item(number).in_memory for number in range(len(self)))

    def subset(self, indices: Iterable[int]) -> Images:
        """Keep the images with these numbers, in this order."""
        kept = list(indices)
        labels = None if self.labels is None else tuple(self.labels[i] for i in kept)
        return Images(tuple(self.items[i] for i in kept), labels, tuple(self.names[i] for i in kept))


@dataclass(frozen=True)
class Source:
    """A data set, opened.

    Attributes:
        name: what the data set is called.
        train: images to learn from; this and the other two are None where there are none.
        validation: images to choose settings and checkpoints by.
        test: images for the final figure.
        class_names: the class with number k is ``class_names[k]``; empty without labels.
        notes: what was decided or left out, each a sentence for the user.
        images: what a run keeps of its images, once they are divided (`vitrail.runs.split`).
        warnings: those of the notes that tell of something that should be mended.
        matched: how its classes were found among those of a model that they are called otherwise by, a sentence.
    """

    name: str
    train: Images | None
    validation: Images | None
    test: Images | None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    images: ImageList | None = None
    warnings: tuple[str, ...] = ()
    matched: str = ""

    def labelled_subset(self, share_or_count: float | int, seed: int = 0) -> Source:
        """Keep only some training images, of every class in proportion, but at least one.

        Args:
            share_or_count: a float in (0, 1] is a share of the training images, an int their count.
            seed: decides which ones.

        Raises:
            DataError: there are no labelled training images, or not as many as asked for.
        """
        if self.train is None or self.train.labels is None:
            raise DataError(f"{self.name} has no labelled training images to choose a subset of")
        total, classes = len(self.train), len(set(self.train.labels))
        count = share_or_count if isinstance(share_or_count, int) else round(share_or_count * total)
        count = max(count, classes) if isinstance(share_or_count, float) else count
        if not (classes <= count <= total and share_or_count > 0):
            raise DataError(
                f"a labelled subset of {share_or_count} cannot be taken from {self.name}: "
                f"it needs {classes} (one of each class) to {total} images, or a share above 0 and at most 1.0"
            )
        kept = stratified(self.train.labels, count, seed)
        note = f"Training uses {count:,} of {total:,} labelled images, at least one of each class."
        return replace(self, train=self.train.subset(kept), notes=(*self.notes, note))


def open_source(
    source: str | Path,
    *,
    seed: int = 0,
    validation_share: float = 0.2,
    labels: bool = True,
    for_evaluation: bool = False,
    known_classes: Collection[str] = (),
) -> Source:
    """Open a data set.

    Known are: the word ``digits`` (1,797 handwritten digits, built in); a folder with one folder per class; a
    folder with those below ``train`` and, optionally, ``val`` and ``test`` (or another usual spelling), or with
    ``train`` and the like below each class; a CSV file with columns of files, classes and, optionally, splits; a folder
    of images with one such file among them; and,
    with ``labels=False``, any folder with images at any depth. Folders that only wrap another one are entered.
    Hidden files and files that are no images are passed over.

    Args:
        source: the word, the folder or the CSV file.
        seed: decides which images become validation images where the data set has no such split.
        validation_share: their share, in [0, 1); at 0 none are set aside.
        labels: whether classes are wanted; without, folders below a split mean nothing.
        for_evaluation: whether a model is to be measured: then a split for training is not needed, a single class
            will do, and classes that are not in the training split are no mistake.
        known_classes: the model's classes, where it is to be measured: a single folder called so is a class.

    Raises:
        DataError: there is no such data set, or its layout is none of those above.
    """
    if not 0 <= validation_share < 1:
        raise DataError(f"validation_share must be at least 0 and below 1, not {validation_share}")
    path = user_path(source)
    is_folder, is_file = os.path.isdir(path), os.path.isfile(path)  # noqa: PTH112, PTH113  (no name is an error)
    if str(source) == "digits":
        opened = _digits()
    elif is_folder and labels:
        listing = open_labelled_folder(path, for_evaluation=for_evaluation, known_classes=known_classes)
        opened = _source(path, listing)
    elif is_folder:
        opened = _source(path, open_any_folder(path, for_evaluation=for_evaluation))
    elif is_file and path.suffix.lower() in TABLE_SUFFIXES:
        opened = _source(path, open_csv(path, labels, for_evaluation=for_evaluation))
    elif os.path.exists(path):  # noqa: PTH110
        raise DataError(f"{path} is one file; a data set is a folder, a CSV file or the word 'digits'")
    else:
        raise DataError(f"there is no folder or CSV file {str(source)!r}{nearest(path.name, _siblings(path))}")
    if not labels:
        opened = _without_labels(opened)
    elif len(opened.class_names) == 1 and not for_evaluation:
        raise DataError(f"{source} has only one class, {opened.class_names[0]!r}; to tell classes apart takes two")
    return with_validation(opened, validation_share, seed)


def _siblings(path: Path) -> list[str]:
    """List what a path may have been meant to be."""
    try:
        return [*sorted(os.listdir(path.parent)), "digits"]  # noqa: PTH208
    except (OSError, ValueError):
        return ["digits"]


def stratified(labels: Sequence[int], count: int, seed: int, *, leave: int = 0) -> list[int]:
    """Choose ``count`` images, of every class in proportion, but at least one; return them in order.

    What is left of the proportions' fractions goes to the largest ones.

    Args:
        labels: for each image the number of its class.
        count: how many images; fewer are returned where ``leave`` does not leave as many.
        seed: decides which images of a class.
        leave: how many images of each class must not be chosen.
    """
    classes, places, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    most = np.maximum(sizes - leave, 0)
    least = np.minimum(1, most)
    exact = sizes * count / sizes.sum()
    quotas = np.clip(np.floor(exact).astype(int), least, most)
    while quotas.sum() < count and (quotas < most).any():
        quotas[np.argmax(np.where(quotas < most, exact - quotas, -np.inf))] += 1
    while quotas.sum() > count and (quotas > least).any():
        quotas[np.argmin(np.where(quotas > least, exact - quotas, np.inf))] -= 1
    generator = np.random.RandomState(seed)  # numpy promises that its stream never changes.
    chosen = [generator.permutation(np.flatnonzero(places == place))[: quotas[place]] for place in range(len(classes))]
    return sorted(np.concatenate(chosen).tolist())


def _without_labels(source: Source) -> Source:
    def bare(images: Images | None) -> Images | None:
        return None if images is None else replace(images, labels=None)

    train, validation, test = map(bare, (source.train, source.validation, source.test))
    return replace(source, train=train, validation=validation, test=test, class_names=())


NO_SPLIT = "There is no validation split"
"""How the note begins that says which images were set aside."""


def with_validation(source: Source, share: float, seed: int) -> Source:
    """Set some training images aside for validation where the data set itself has no such split."""
    if not 0 <= share < 1:
        raise DataError(f"validation_share must be at least 0 and below 1, not {share}")
    images = source.train
    if images is None or source.validation is not None or not share:
        return source
    labels = images.labels if images.labels is not None else [0] * len(images)
    held = stratified(labels, max(1, round(share * len(images))), seed, leave=1)
    if not held:
        note = "There are too few images to set any aside for validation."
        return replace(source, notes=(*source.notes, note))
    note = (
        f"{NO_SPLIT}: {len(held):,} of {len(images):,} training images, "
        f"chosen by seed {seed}, {'is' if len(held) == 1 else 'are'} kept out of training for validation."
    )
    train, validation = images.subset(_others(images, held)), images.subset(held)
    return replace(source, train=train, validation=validation, notes=(*source.notes, note))


def _others(images: Images, chosen: Sequence[int]) -> list[int]:
    return sorted(set(range(len(images))) - set(chosen))


def _digits() -> Source:
    """scikit-learn's handwritten digits: 8 x 8 pixels of 0 to 16, here 0 to 255; always the same split."""
    from sklearn.datasets import load_digits  # Takes seconds to import.

    values, classes = (np.asarray(part) for part in load_digits(return_X_y=True))
    pixels = np.rint(values.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    items, labels = tuple(Image.fromarray(image) for image in pixels), tuple(classes.tolist())
    rest = Images(items, labels, tuple(f"digit {number}" for number in range(len(items))))
    held = {}
    for split, count in {"test": 300, "validation": 200}.items():
        chosen = stratified(rest.labels or (), count, seed=0)
        held[split], rest = rest.subset(chosen), rest.subset(_others(rest, chosen))
    return Source("digits", rest, held["validation"], held["test"], tuple("0123456789"))


def _source(root: Path, listing: Listing) -> Source:
    """Number the classes of a listing."""
    below = root if root.is_dir() else root.parent
    images = {
        split: _images(below, pairs, listing.class_names, listing.places[split])
        for split, pairs in listing.files.items()
    }
    if listing.contradiction:
        raise DataError(listing.contradiction)
    train, validation, test = (images.get(split) for split in ("train", "validation", "test"))
    listing.warnings += lookalikes(listing.class_names)
    name, warnings = root.resolve().name, tuple(listing.warnings)
    return Source(name, train, validation, test, listing.class_names, listing.all_notes(), warnings=warnings)


def training_images(source: Source) -> Images:
    """Return the images to train on.

    Raises:
        DataError: there are none.
    """
    if source.train is None or not len(source.train):
        raise DataError(f"{source.name} has no images to train on")
    return source.train


def _images(root: Path, pairs: Sequence[tuple[Path, str | None]], class_names: Sequence[str], where: str) -> Images:
    """Number the classes of files; each file is called what it is called below the root."""
    number = {name: place for place, name in enumerate(class_names)}
    for _, name in pairs:
        if name is not None and name not in number:
            number[name] = _same_class(name, class_names, where)
    prefix = f"{root}{os.sep}"
    return Images(
        tuple(file for file, _ in pairs),
        tuple(number[name] for _, name in pairs if name is not None) if class_names else None,
        tuple(str(file).removeprefix(prefix) for file, _ in pairs),
    )


def _same_class(name: str, class_names: Sequence[str], where: str) -> int:
    """Find the class that is spelled with other Unicode characters for the same letters, as archives may have it."""
    plain = unicodedata.normalize("NFC", name).strip()
    for place, known in enumerate(class_names):
        if unicodedata.normalize("NFC", known).strip() == plain:
            return place
    raise DataError(f"{where} has the class {name!r}, which is not in the training split{nearest(name, class_names)}")


__all__ = ["SPLIT_WORDS", "Images", "Source", "open_source", "stratified", "training_images", "with_validation"]
