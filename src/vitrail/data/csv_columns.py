"""Which column of a table names the files, which the classes, and which the splits."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitrail.data.file_finder import FileFinder
from vitrail.data.file_rules import SPLIT_WORDS, is_image_name, split_of
from vitrail.data.layouts import OtherTask, names_boxes
from vitrail.errors import DataError

FILE_COLUMNS = (
    *("file", "filename", "path", "image"),
    *("file_name", "filepath", "filepaths", "file_path", "filenames", "files", "paths", "image_path", "image_name"),
    *("image_file", "image_filename", "images", "image_id", "imageid", "img", "img_name", "img_path", "img_id"),
    *("photo", "picture", "id"),
)
LABEL_COLUMNS = (
    *("label", "class", "class_name"),
    *("labels", "classes", "classname", "category", "categories", "category_name", "label_name", "target", "class_id"),
    *("label_id", "category_id", "classid", "labelname", "labelid", "categoryname", "categoryid"),
    *("class_index", "class_idx", "label_index", "imagenet_class_index", "imagenet_class", "imagenet_label"),
    *("wnid", "wordnet_id", "synset", "synset_id"),
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "usage", "data_set", "dataset")
FLAG_COLUMNS = {word: SPLIT_WORDS[word] for word in ("train", "valid", "val", "validation", "test")}
"""``is_valid`` and the like: columns of true and false; the part after ``is_``."""

_TRUE, _FALSE = frozenset({"true", "1", "yes", "y", "t", "1.0"}), frozenset({"false", "0", "no", "n", "f", "0.0", ""})
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
MOST_OF_NAME = 80
"""Characters of a name that are shown."""
MOST_SHOWN = 12
"""Columns that are named in a message."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table, by number.

    Attributes:
        file: of the files' names.
        label: of the classes; None where they are not wanted.
        label_name: what that column is called.
        split: of the splits; None where all images are for training.
        split_words: what words in it mean, besides those `split_of` knows; in lower case.
        count: how many there are.
        notes: what was decided, each a sentence.
    """

    file: int
    label: int | None
    label_name: str
    split: int | None
    split_words: Mapping[str, str]
    count: int
    notes: list[str] = field(default_factory=list)


def choose_columns(
    table: Path, heading: Sequence[str], rows: Sequence[Sequence[str]], finder: FileFinder, labels: bool
) -> Columns:
    """Choose the columns of a table.

    Args:
        table: the file, for messages.
        heading: the columns' names.
        rows: the first rows, which tell what unknown columns hold.
        finder: says whether a cell names a file.
        labels: whether a column of classes is wanted.

    Raises:
        DataError: there is no column of files or classes, or there are several that may be it; or there is no heading.
        OtherTask: there are columns of the sides of boxes.
    """
    names = [name.strip() for name in heading]
    plain = [_plain(name) for name in names]
    for name in filter(is_image_name, names):
        raise DataError(
            f"{table} has no heading: its first line names the image {name[:MOST_OF_NAME]!r}, which would be left out; "
            "write a line such as 'file,label' above it"
        )
    if labels and names_boxes(plain):
        raise OtherTask(
            f"{table} is a table of boxes (xmin, ymin, xmax, ymax) for object detection, not for telling classes "
            "apart; to learn from it with --task detect, convert it to COCO's json: vitrail reads "
            "annotations/instances_train.json with images/train"
        )
    cells = [[row[n].strip() if n < len(row) else "" for row in rows] for n in range(len(names))]
    notes: list[str] = []
    file = _file_column(table, names, plain, cells, finder)
    split, words = _split_column(plain, cells)
    label = _label_column(table, names, plain, cells, {file, split}, notes) if labels else None
    label_name = "" if label is None else names[label]
    if split is not None and plain[split] != "split":
        notes.append(f"The column {names[split]!r} says which split an image belongs to.")
    return Columns(file, label, label_name, split, words, len(names), notes)


def names_files(heading: Sequence[str]) -> bool:
    """Whether a heading has a column of files by one of its usual names."""
    return any(_plain(name) in FILE_COLUMNS for name in heading)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def _file_column(
    table: Path, names: Sequence[str], plain: Sequence[str], cells: Sequence[Sequence[str]], finder: FileFinder
) -> int:
    known = _known(names, plain, FILE_COLUMNS[:4], FILE_COLUMNS)
    if known is not None:
        return known
    holding = [n for n, column in enumerate(cells) if len(column) > 1 and all(map(finder.exists, column[:2]))]
    if len(holding) == 1:
        return holding[0]
    raise DataError(_missing(table, "file", FILE_COLUMNS, names))


def _label_column(
    table: Path,
    names: Sequence[str],
    plain: Sequence[str],
    cells: Sequence[Sequence[str]],
    taken: set[int | None],
    notes: list[str],
) -> int:
    """Find the column of classes by its name, or as the only one left that holds texts which repeat."""
    known = _known(names, plain, LABEL_COLUMNS[:3], LABEL_COLUMNS, taken)
    if known is not None:
        return known
    left = [n for n in range(len(names)) if n not in taken and plain[n] not in FILE_COLUMNS and _holds_words(cells[n])]
    if len(left) == 1:
        notes.append(f"The column {names[left[0]]!r} is taken for the classes.")
        return left[0]
    raise DataError(_missing(table, "label", LABEL_COLUMNS, names))


def _split_column(plain: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[int | None, dict[str, str]]:
    """Find the column of the splits, and what its words mean; a column that is not called ``split`` must fit."""
    if "split" in plain:
        return plain.index("split"), {}
    for name in SPLIT_COLUMNS:
        column = cells[plain.index(name)] if name in plain else []
        if any(column) and all(not cell or split_of(cell) for cell in column):
            return plain.index(name), {}
    for name, split in FLAG_COLUMNS.items():
        number = plain.index(f"is_{name}") if f"is_{name}" in plain else None
        if number is not None and any(cells[number]) and all(c.casefold() in _TRUE | _FALSE for c in cells[number]):
            other = "validation" if split == "train" else "train"
            return number, {**dict.fromkeys(_TRUE, split), **dict.fromkeys(_FALSE, other)}
    return None, {}


def _known(
    names: Sequence[str],
    plain: Sequence[str],
    exact: Sequence[str],
    known: Sequence[str],
    taken: Collection[int | None] = (),
) -> int | None:
    """Find a column by its name: first spelled exactly as the first few, then in any spelling."""
    for spellings, columns in ((exact, names), (known, plain)):
        for name in spellings:
            found = [number for number, column in enumerate(columns) if column == name and number not in taken]
            if found:
                return found[0]
    return None


def _holds_words(column: Sequence[str]) -> bool:
    """Whether cells look like names of classes: texts, no numbers, and fewer different ones than rows."""
    filled = [cell for cell in column if cell]
    if not filled or len(filled) < len(column) or all(map(_is_number, filled)):
        return False
    counts = Counter(filled)
    return len(counts) < len(filled)


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?", cell) is not None


def _missing(table: Path, wanted: str, accepted: Sequence[str], names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:MOST_SHOWN]) + (", ..." if len(names) > MOST_SHOWN else "")
    return (
        f"{table} needs a column {wanted!r}; its columns are {shown if any(names) else 'missing'}; "
        f"accepted, in any case, are {', '.join(accepted)}"
    )


__all__ = ["FILE_COLUMNS", "LABEL_COLUMNS", "Columns", "choose_columns", "names_files"]
