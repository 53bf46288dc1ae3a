"""From a word, a folder or a CSV file to pictures with labels, split into training, validation and test."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.data.images import IMAGE_SUFFIXES
from vitrail.errors import DataError, nearest

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
"""Spellings of the three splits, as folder names and in a CSV file's column ``split``."""

FILE_COLUMNS = ("file", "filename", "path", "image")
LABEL_COLUMNS = ("label", "class", "class_name")


@dataclass(frozen=True)
class Pictures:
    """The pictures of one split, in a fixed order.

    Attributes:
        items: files, or pictures already in memory; drawn scenes have a size and a ``picture()`` in their stead.
        labels: for each picture the number of its class, or None where there are no labels.
        names: for each picture what it is called in reports.
    """

    items: Sequence[Path | Image.Image]
    labels: tuple[int, ...] | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.items)

    def subset(self, indices: Iterable[int]) -> Pictures:
        """Keep the pictures with these numbers, in this order."""
        kept = list(indices)
        labels = None if self.labels is None else tuple(self.labels[i] for i in kept)
        return Pictures(tuple(self.items[i] for i in kept), labels, tuple(self.names[i] for i in kept))


@dataclass(frozen=True)
class Source:
    """A data set, opened.

    Attributes:
        name: what the data set is called.
        train: pictures to learn from; this and the other two are None where there are none.
        validation: pictures to choose settings and checkpoints by.
        test: pictures for the final figure.
        class_names: the class with number k is ``class_names[k]``; empty without labels.
        notes: what was decided or left out, each a sentence for the user.
    """

    name: str
    train: Pictures | None
    validation: Pictures | None
    test: Pictures | None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def labelled_subset(self, share_or_count: float | int, seed: int = 0) -> Source:
        """Keep only some training pictures, of every class in proportion, but at least one.

        Args:
            share_or_count: a float in (0, 1] is a share of the training pictures, an int their count.
            seed: decides which ones.

        Raises:
            DataError: there are no labelled training pictures, or not as many as asked for.
        """
        if self.train is None or self.train.labels is None:
            raise DataError(f"{self.name} has no labelled training pictures to choose a subset of")
        total, classes = len(self.train), len(set(self.train.labels))
        count = share_or_count if isinstance(share_or_count, int) else round(share_or_count * total)
        count = max(count, classes) if isinstance(share_or_count, float) else count
        if not (classes <= count <= total and share_or_count > 0):
            raise DataError(
                f"a labelled subset of {share_or_count} cannot be taken from {self.name}: "
                f"it needs {classes} (one of each class) to {total} pictures, or a share above 0 and at most 1.0"
            )
        kept = stratified(self.train.labels, count, seed)
        note = f"Training uses {count:,} of {total:,} labelled pictures, at least one of each class."
        return replace(self, train=self.train.subset(kept), notes=(*self.notes, note))


def open_source(source: str | Path, *, seed: int = 0, validation_share: float = 0.2, labels: bool = True) -> Source:
    """Open a data set.

    Known are: the word ``digits`` (1,797 handwritten digits, built in); a folder with one folder per class; a
    folder with those below ``train`` and, optionally, ``val`` and ``test`` (or another usual spelling); a CSV
    file with the columns ``file``, ``label`` and, optionally, ``split``; and, with ``labels=False``, any
    folder with pictures at any depth. Hidden files and files that are no pictures are passed over.

    Args:
        source: the word, the folder or the CSV file.
        seed: decides which pictures become validation pictures where the data set has no such split.
        validation_share: their share, in [0, 1); at 0 none are set aside.
        labels: whether classes are wanted; without, folders below a split mean nothing.

    Raises:
        DataError: there is no such data set, or its layout is none of those above.
    """
    if not 0 <= validation_share < 1:
        raise DataError(f"validation_share must be at least 0 and below 1, not {validation_share}")
    path = Path(source).expanduser()
    if str(source) == "digits":
        opened = _digits()
    elif path.is_dir():
        opened = _open_class_folders(path) if labels else _open_any_folder(path)
    elif path.is_file() and path.suffix.lower() == ".csv":
        opened = _open_csv(path, labels)
    elif path.is_file():
        raise DataError(f"{path} is one file; a data set is a folder, a CSV file or the word 'digits'")
    else:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no folder or CSV file {str(source)!r}{nearest(path.name, [*siblings, 'digits'])}")
    if not labels:
        opened = _without_labels(opened)
    elif len(opened.class_names) == 1:
        raise DataError(f"{source} has only one class, {opened.class_names[0]!r}; to tell classes apart takes two")
    return with_validation(opened, validation_share, seed)


def stratified(labels: Sequence[int], count: int, seed: int, *, leave: int = 0) -> list[int]:
    """Choose ``count`` pictures, of every class in proportion, but at least one; return them in order.

    What is left of the proportions' fractions goes to the largest ones.

    Args:
        labels: for each picture the number of its class.
        count: how many pictures; fewer are returned where ``leave`` does not leave as many.
        seed: decides which pictures of a class.
        leave: how many pictures of each class must not be chosen.
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
    def bare(pictures: Pictures | None) -> Pictures | None:
        return None if pictures is None else replace(pictures, labels=None)

    return Source(source.name, bare(source.train), bare(source.validation), bare(source.test), (), source.notes)


def with_validation(source: Source, share: float, seed: int) -> Source:
    """Set some training pictures aside for validation where the data set itself has no such split."""
    pictures = source.train
    if pictures is None or source.validation is not None or not share:
        return source
    labels = pictures.labels if pictures.labels is not None else [0] * len(pictures)
    held = stratified(labels, max(1, round(share * len(pictures))), seed, leave=1)
    if not held:
        note = "There are too few pictures to set any aside for validation."
        return replace(source, notes=(*source.notes, note))
    note = (
        f"There is no validation split: {len(held):,} of {len(pictures):,} training pictures, "
        f"chosen by seed {seed}, are kept out of training for validation."
    )
    train, validation = pictures.subset(_others(pictures, held)), pictures.subset(held)
    return replace(source, train=train, validation=validation, notes=(*source.notes, note))


def _others(pictures: Pictures, chosen: Sequence[int]) -> list[int]:
    return sorted(set(range(len(pictures))) - set(chosen))


def _digits() -> Source:
    """scikit-learn's handwritten digits: 8 x 8 pixels of 0 to 16, here 0 to 255; always the same split."""
    from sklearn.datasets import load_digits  # Takes seconds to import.

    values, classes = (np.asarray(part) for part in load_digits(return_X_y=True))
    pixels = np.rint(values.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    items, labels = tuple(Image.fromarray(image) for image in pixels), tuple(classes.tolist())
    rest = Pictures(items, labels, tuple(f"digit {number}" for number in range(len(items))))
    held = {}
    for split, count in {"test": 300, "validation": 200}.items():
        chosen = stratified(rest.labels or (), count, seed=0)
        held[split], rest = rest.subset(chosen), rest.subset(_others(rest, chosen))
    return Source("digits", rest, held["validation"], held["test"], tuple("0123456789"))


# --- folders ---------------------------------------------------------------------------------------------


def _open_class_folders(root: Path) -> Source:
    """Open a folder with one folder per class, or with one such folder for each split."""
    passed_over: Counter[str] = Counter()
    folders = _split_folders(root, passed_over)
    found = {split: _class_folders(folder, passed_over) for split, folder in folders.items()}
    if not found.get("test", True):  # As in many competitions, whose test pictures have secret labels.
        passed_over["test pictures without class folders"] += len(_images(folders["test"], passed_over))
        del found["test"]
    for split, classes in found.items():
        if classes:
            continue
        if _images(folders[split], Counter()):
            raise DataError(
                f"{folders[split]} holds pictures but no class folders; "
                "put those of each class into a folder named after it, or learn without labels"
            )
        raise _no_pictures(folders[split])
    class_names = tuple(found["train"])
    pictures = {}
    for split, classes in found.items():
        pairs = [(file, name) for name, files in classes.items() for file in files]
        pictures[split] = _pictures(root, pairs, class_names, f"the folder {folders[split]}")
    return _source(root, pictures, class_names, passed_over)


def _open_any_folder(root: Path) -> Source:
    """Open the pictures at any depth of a folder, or of its folders for the splits."""
    passed_over: Counter[str] = Counter()
    pictures = {}
    for split, folder in _split_folders(root, passed_over).items():
        files = _images(folder, passed_over)
        if not files:
            raise _no_pictures(folder)
        pictures[split] = _pictures(root, [(file, None) for file in files], (), "")
    return _source(root, pictures, (), passed_over)


def _split_folders(root: Path, passed_over: Counter[str]) -> dict[str, Path]:
    """Find the folder of each split; without one for training, the root is it."""
    found: dict[str, Path] = {}
    others = []
    for folder in _folders(root):
        split = SPLIT_WORDS.get(folder.name.lower())
        if split is None:
            others.append(folder)
        elif split in found:
            raise DataError(f"{root} holds both {found[split].name!r} and {folder.name!r}; keep one of them")
        else:
            found[split] = folder
    if "train" in found:
        passed_over["folders beside the splits"] += len(others)
        return found
    if found and not others:
        names = " and ".join(repr(folder.name) for folder in found.values())
        raise DataError(f"{root} holds {names} but no folder 'train'")
    return {"train": root}


def _class_folders(root: Path, passed_over: Counter[str]) -> dict[str, list[Path]]:
    """Find the pictures of each class, at any depth of the folder named after it."""
    folders = _folders(root)
    found = {folder.name: _images(folder, passed_over) for folder in folders}
    classes = {name: files for name, files in found.items() if files}
    if classes:
        passed_over["pictures outside the class folders"] += len(_images(root, passed_over, deep=False))
        passed_over["class folders without pictures"] += len(found) - len(classes)
    return classes


def _folders(root: Path) -> list[Path]:
    """List the folders directly below, but hidden ones, in natural order."""
    below = [entry for entry in root.iterdir() if entry.is_dir() and not _hidden(entry.name)]
    return sorted(below, key=lambda folder: _natural(folder.name))


def _images(root: Path, passed_over: Counter[str], *, deep: bool = True) -> list[Path]:
    """List the pictures of a folder, of those below it too where ``deep``, in natural order."""
    images = []
    seen = set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        # A link to a folder above itself would be followed for ever.
        below[:] = sorted((n for n in below if deep and real not in seen and not _hidden(n)), key=_natural)
        if real in seen:
            continue
        seen.add(real)
        for name in sorted(names, key=_natural):
            if _hidden(name):
                passed_over["hidden files"] += 1
            elif os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES:  # noqa: PTH122  (called very often)
                passed_over["files that are no pictures"] += 1
            else:
                images.append(Path(folder, name))
    return images


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key in which ``a2`` comes before ``a10``, and case matters only between equals."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts], name


def _no_pictures(folder: Path) -> DataError:
    return DataError(f"{folder} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")


# --- CSV files -------------------------------------------------------------------------------------------


def _open_csv(path: Path, labels: bool) -> Source:
    """Open a CSV file with one picture a row; its file is named relative to the CSV file."""
    columns, rows = _read_csv(path)
    file_column = _column(path, columns, FILE_COLUMNS)
    label_column = _column(path, columns, LABEL_COLUMNS) if labels else None
    found: dict[str, list[tuple[Path, str | None]]] = {}
    for number, row in rows:
        line = f"{path}, line {number}"
        picture = path.parent / row.get(file_column, "")
        if not picture.is_file():
            raise DataError(f"{line}: there is no file {picture}")
        label = None if label_column is None else row.get(label_column, "")
        if label == "":
            raise DataError(f"{line}: the column {label_column!r} is empty")
        found.setdefault(_split_of_row(row, line), []).append((picture, label))
    if not found:
        raise DataError(f"{path} has no rows below its heading")
    if "train" not in found:
        raise DataError(f"{path} has no row whose split is 'train'")
    class_names = tuple(sorted({name for _, name in found["train"] if name is not None}, key=_natural))
    pictures = {
        split: _pictures(path.parent, pairs, class_names, f"the split {split!r} of {path}")
        for split, pairs in found.items()
    }
    return _source(path, pictures, class_names, Counter())


def _read_csv(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read the columns' names, and each row with the number of its line; blank lines do not count."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, dict(zip(columns, map(str.strip, row), strict=False))) for row in reader if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 ({error})") from error
    return columns, rows


def _column(path: Path, columns: Sequence[str], names: Sequence[str]) -> str:
    for name in names:
        if name in columns:
            return name
    raise DataError(f"{path} needs a column {names[0]!r}; its columns are {', '.join(map(repr, columns)) or 'missing'}")


def _split_of_row(row: Mapping[str, str], line: str) -> str:
    """Read the column ``split``; where it is missing or empty, the picture is for training."""
    word = row.get("split", "").lower() or "train"
    if word not in SPLIT_WORDS:
        raise DataError(f"{line}: {word!r} is no split{nearest(word, SPLIT_WORDS) or '; use train, val or test'}")
    return SPLIT_WORDS[word]


# --- both ------------------------------------------------------------------------------------------------


def _pictures(root: Path, pairs: Sequence[tuple[Path, str | None]], class_names: Sequence[str], where: str) -> Pictures:
    """Number the classes of files; each file is called what it is called below the root."""
    number = {name: place for place, name in enumerate(class_names)}
    for _, name in pairs:
        if name is not None and name not in number:
            raise DataError(
                f"{where} has the class {name!r}, which is not in the training split{nearest(name, class_names)}"
            )
    prefix = f"{root}{os.sep}"
    return Pictures(
        tuple(file for file, _ in pairs),
        tuple(number[name] for _, name in pairs if name is not None) if class_names else None,
        tuple(str(file).removeprefix(prefix) for file, _ in pairs),
    )


def _source(
    root: Path, pictures: Mapping[str, Pictures], class_names: tuple[str, ...], passed_over: Counter[str]
) -> Source:
    counts = [f"{what} ({count:,})" for what, count in sorted(passed_over.items()) if count]
    return Source(
        root.resolve().name,
        pictures["train"],
        pictures.get("validation"),
        pictures.get("test"),
        class_names,
        (f"Passed over: {', '.join(counts)}.",) if counts else (),
    )


__all__ = ["Pictures", "Source", "open_source", "stratified"]
