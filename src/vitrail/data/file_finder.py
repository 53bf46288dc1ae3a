"""From the name of a file in a table to the file: as people write names, and where they put the files."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

from vitrail.data.file_rules import IMAGE_SUFFIXES, list_images, named, split_of
from vitrail.errors import DataError


class FileFinder:
    """Finds the files that a table names, and remembers in which ways they had to be looked for.

    A name is relative to the table's folder. Where there is no such file, backslashes are read as slashes, a missing
    suffix is added, and the folders below are searched.

    Args:
        table: the file with the names.
    """

    def __init__(self, table: Path) -> None:
        self._root = table.parent
        self._split = split_of(table.stem)
        self._known: dict[str, Path] = {}
        self._below: dict[str, list[Path]] | None = None
        self._found_in: Counter[str] = Counter()
        self._suffixes: Counter[str] = Counter()  # In the order in which they were met.

    def find(self, name: str, line: str) -> Path:
        """Return the file of a name.

        Args:
            name: as the table has it.
            line: where, for the message.

        Raises:
            DataError: there is no such file, or several.
        """
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = self._search(name, line)
        return known

    def exists(self, name: str) -> bool:
        """Whether a name leads to a file."""
        try:
            self.find(name, "")
        except DataError:
            return False
        return True

    def notes(self) -> list[str]:
        """Say where files were found that are not where the table says, each a sentence."""
        notes = []
        if self._found_in:
            notes.append(f"Files were found in {named(sorted(self._found_in))}, below the folder of the table.")
        if self._suffixes:
            notes.append(f"Files are named without their suffix ({', '.join(sorted(self._suffixes))}).")
        return notes

    def _search(self, name: str, line: str) -> Path:
        if not name:
            raise DataError(f"{line}: no file is named")
        for spelling in _spellings(name):
            direct = os.path.join(self._root, spelling)  # noqa: PTH118  (called for every row)
            if os.path.isfile(direct):  # noqa: PTH113
                return self._root / spelling
            for suffix in self._suffixes if self._below is not None else (*self._suffixes, *_ALL_SUFFIXES):
                if os.path.isfile(direct + suffix):  # noqa: PTH113
                    self._suffixes[suffix] += 1
                    return self._root / (spelling + suffix)
        return self._search_below(name, line)

    def _search_below(self, name: str, line: str) -> Path:
        """Search the folders below the table's for a file whose path ends with a name."""
        wanted = name.replace("\\", "/").removeprefix("./")
        matches = [path for path in self._index().get(_key(wanted), ()) if _ends_with(path, wanted)]
        if len(matches) > 1 and self._split:
            own = [path for path in matches if self._split in map(split_of, path.relative_to(self._root).parts[:-1])]
            matches = own or matches
        if not matches:
            raise DataError(f"{line}: there is no file {printable(self._root / name)}")
        if len(matches) > 1:
            where = named(str(path.relative_to(self._root)) for path in sorted(matches))
            raise DataError(f"{line}: {name!r} may be {where}; name the folder in the table")
        found = matches[0]
        if found.parent != self._root:
            self._found_in[str(found.parent.relative_to(self._root))] += 1
        if not wanted.casefold().endswith(found.suffix.casefold()):
            self._suffixes[found.suffix] += 1
        return found

    def _index(self) -> dict[str, list[Path]]:
        """List the images below the table's folder by their names, with and without suffix."""
        if self._below is None:
            self._below = defaultdict(list)
            for path in list_images(self._root):
                self._below[_key(path.name)].append(path)
                self._below[_key(path.stem)].append(path)
        return self._below


_ALL_SUFFIXES = sorted(IMAGE_SUFFIXES | {suffix.upper() for suffix in IMAGE_SUFFIXES})


def _spellings(name: str) -> dict[str, None]:
    """Return the ways in which a name may stand on the disk: as it is first, each once."""
    spellings = {name: None}
    if "\\" in name:
        spellings[name.replace("\\", "/")] = None
    if not name.isascii():
        spellings[windows_1252(name)] = None
        spellings |= {unicodedata.normalize("NFC", name): None, unicodedata.normalize("NFD", name): None}
    return spellings


def windows_1252(text: str) -> str:
    """Read the bytes of a text that are no UTF-8 as Windows-1252."""
    if not any("\udc80" <= letter <= "\udcff" for letter in text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def _key(name: str) -> str:
    return name.rpartition("/")[2].casefold()


def _ends_with(path: Path, name: str) -> bool:
    """Whether a path ends with a name that may lack its suffix."""
    whole = path.as_posix().casefold()
    stem = os.path.splitext(whole)[0]  # noqa: PTH122
    return any(end.endswith(f"/{name.casefold()}") for end in (whole, stem))


def printable(path: str | Path, most: int = 300) -> str:
    """Write a name without what would break the line, and cut where it is very long."""
    text = str(path) if len(str(path)) <= most else f"{str(path)[:most]}..."
    return text if text.isprintable() else repr(text)


__all__ = ["FileFinder", "printable", "windows_1252"]
