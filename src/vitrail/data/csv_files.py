"""Tables of images: a CSV file with a column of files and, as a rule, one of classes, in the dialects people write.

Comma, semicolon or tab; UTF-8, UTF-16 or Windows-1252; columns by their usual names; files with or without suffix,
beside the table or in a folder below. Rows are read one after another: a table of a million rows costs seconds.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import itertools
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.data.csv_columns import Columns, choose_columns, names_files
from vitrail.data.file_finder import FileFinder, printable, windows_1252
from vitrail.data.file_rules import SPLIT_WORDS, natural, split_of
from vitrail.data.listing import Listing
from vitrail.errors import DataError, nearest

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
"""Lower-case suffixes of files that are read as tables."""
DELIMITERS = (",", ";", "\t")
MAX_BYTES = 2_000_000_000
"""No table of images is larger; a file that is gets refused before it is read."""
HEAD = 1 << 16
ROWS_LOOKED_AT = 1000
"""Rows that are looked at to learn what the columns hold."""
MAX_LABEL = 200
"""Characters of a class name; what is longer is text, not a name."""


@dataclass
class _Rows:
    """The rows of a table that have been read: where each file is, its class and split, and on which line it stood."""

    files: dict[str, list[tuple[Path, str | None]]] = field(default_factory=dict)
    seen: dict[Path, tuple[str | None, str, int]] = field(default_factory=dict)
    duplicates: int = 0
    contradictions: list[str] = field(default_factory=list)


def open_csv(path: Path, labels: bool, *, for_evaluation: bool = False) -> Listing:
    """List the images of a table, one a row; files are named relative to it.

    Args:
        path: the table.
        labels: whether classes are wanted.
        for_evaluation: whether rows for training are not needed.

    Raises:
        DataError: the file is no table, or a row of it cannot be used.
    """
    text_of, notes = _encoding(path)
    with _reader(path, text_of) as reader:
        heading = next(filter(any, reader), [])
        first = [(reader.line_num, row) for row in itertools.islice(reader, ROWS_LOOKED_AT) if any(row)]
        finder = FileFinder(path)
        columns = choose_columns(path, heading, [row for _, row in first], finder, labels)
        found = _take(path, columns, first, reader, finder)
    if not found.files:
        raise DataError(f"{path} has no rows below its heading")
    if "train" not in found.files and not for_evaluation:
        raise DataError(f"{path} has no row whose split is 'train'")
    listing = Listing(notes=[*notes, *columns.notes, *finder.notes()])
    if found.contradictions:
        listing.contradiction = _contradiction(path, found.contradictions)
    if found.duplicates:
        listing.notes.append(f"{found.duplicates:,} rows repeat another one; each image is used once.")
    listing.files = found.files
    listing.places = {split: f"the split {split!r} of {path}" for split in found.files}
    meant = list(found.files) if for_evaluation else ["train"]
    classes = {name for split in meant for _, name in found.files[split] if name is not None}
    listing.class_names = tuple(sorted(classes, key=natural))
    return listing


_EXPECTED = "a table of images has a heading, such as 'file,label', and a row for each image"


def _take(
    path: Path, columns: Columns, first: Iterable[tuple[int, list[str]]], reader: Any, finder: FileFinder
) -> _Rows:
    """Find the file, class and split of every row: of the first ones, and of those that are left to read."""
    taken = _Rows()
    names: dict[str, str] = {}  # Equal class names are kept once: a million rows have few.

    def take(number: int, row: list[str]) -> None:
        line = f"{path}, line {number}"
        _check_length(row, columns, line)
        file = finder.find(_cell(row, columns.file), line)
        label = None if columns.label is None else _cell(row, columns.label)
        if label is not None:
            label = names.setdefault(label, _checked_label(label, columns, line))
        _keep(taken, file, label, _split_of_row(row, columns, line), number)

    for number, row in first:
        take(number, row)
    # Most of a long table's time goes here: a row that says what one before has said is known by its cells.
    used = sorted({column for column in (columns.file, columns.label, columns.split) if column is not None})
    cells_of, count = operator.itemgetter(*used), columns.count
    known: dict[Any, None] = {}
    for row in reader:
        if len(row) == count:
            cells = cells_of(row)
            if cells in known:
                taken.duplicates += 1
                continue
            known[cells] = None
        if any(row):
            take(reader.line_num, row)
    return taken


def _keep(taken: _Rows, file: Path, label: str | None, split: str, number: int) -> None:
    """Keep a row, unless its file has been named before: then it is a duplicate, or contradicts the earlier row."""
    before = taken.seen.setdefault(file, (label, split, number))
    if before[:2] == (label, split) and before[2] != number:
        taken.duplicates += 1
        return
    taken.files.setdefault(split, []).append((file, label))
    if before[2] == number:
        return
    if before[0] != label:
        what = f"has two classes, {before[0]!r} (line {before[2]}) and {label!r} (line {number})"
        taken.contradictions.append(f"{printable(file.name)} {what}")
    else:
        what = f"is in two splits, {before[1]} (line {before[2]}) and {split} (line {number})"
        taken.contradictions.append(f"{printable(file.name)} {what}")


def _contradiction(path: Path, found: list[str]) -> str:
    more = f", and {len(found) - 1:,} more rows like it" if len(found) > 1 else ""
    return f"{path}: {found[0]}{more}; keep one row for each image"


def _cell(row: Sequence[str], number: int) -> str:
    return row[number].strip() if number < len(row) else ""


def _check_length(row: Sequence[str], columns: Columns, line: str) -> None:
    """Refuse a row with more cells than columns: an unquoted comma would cut a class name short."""
    if len(row) > columns.count and any(cell.strip() for cell in row[columns.count :]):
        raise DataError(
            f"{line}: {len(row)} cells for {columns.count} columns; quote cells that hold what parts the columns"
        )


def _checked_label(label: str, columns: Columns, line: str) -> str:
    label = windows_1252(label)
    if not label:
        raise DataError(f"{line}: the column {columns.label_name!r} is empty")
    if len(label) > MAX_LABEL:
        raise DataError(
            f"{line}: the column {columns.label_name!r} holds a text of {len(label):,} characters, no class"
        )
    return label


def _split_of_row(row: Sequence[str], columns: Columns, line: str) -> str:
    """Read the split of a row; where it is missing or empty, the image is for training."""
    if columns.split is None:
        return "train"
    word = _cell(row, columns.split)
    split = columns.split_words.get(word.casefold()) or split_of(word) if word else "train"
    if split is None:
        hint = nearest(word.lower()[:MAX_LABEL], SPLIT_WORDS) or "; use train, val or test"
        raise DataError(f"{line}: {word[:MAX_LABEL]!r} is no split{hint}")
    return split


# --- bytes to rows -----------------------------------------------------------------------------------------


def _encoding(path: Path) -> tuple[dict[str, str], list[str]]:
    """Find out how a file's bytes stand for text: arguments for `open`, and notes.

    Raises:
        DataError: it is no text, cannot be read, or is implausibly large.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise DataError(f"{path} has {size / 1e9:.1f} GB, more than a table of images can have")
            if head.startswith((b"\xff\xfe", b"\xfe\xff")):
                return {"encoding": "utf-16"}, []
            if b"\0" in head:
                raise DataError(f"{path} is no CSV file: it holds zero bytes, as binary files do; {_EXPECTED}")
            file.seek(0)
            utf8 = _is_utf8(iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None
    if utf8:
        return {"encoding": "utf-8-sig"}, []
    # File names of old archives are bytes in no known encoding: they are kept as they are, until a class is named.
    return {"encoding": "utf-8-sig", "errors": "surrogateescape"}, [f"{path.name} is not UTF-8; read as Windows-1252."]


def _is_utf8(blocks: Iterator[bytes]) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in blocks:
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


@contextlib.contextmanager
def _reader(path: Path, text_of: dict[str, str]) -> Iterator[Any]:
    """Open a table as a reader of the `csv` module; what goes wrong while it reads becomes one sentence."""
    try:
        with path.open(newline="", **text_of) as file:  # type: ignore[call-overload]
            first = next(filter(str.strip, iter(lambda: file.readline(HEAD), "")), "")
            said = _SAID_BY_EXCEL.fullmatch(first)
            file.seek(0)
            reader = csv.reader(file, delimiter=said[1] if said else _delimiter(first), skipinitialspace=True)
            if said:
                next(filter(any, reader))
            yield reader
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8 or UTF-16 ({error}); {_EXPECTED}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from None


_SAID_BY_EXCEL = re.compile(r"sep=([,;\t])\s*", re.IGNORECASE)
"""The line above the heading by which Excel learns what separates the columns."""


def _delimiter(heading: str) -> str:
    """Return what parts a heading into known columns, or into the most; a comma where nothing does."""
    cells = {delimiter: next(csv.reader([heading], delimiter=delimiter), []) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda d: (names_files(cells[d]), len(cells[d])))


__all__ = ["TABLE_SUFFIXES", "open_csv"]
