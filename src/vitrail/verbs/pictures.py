"""From what a user names - files, folders, globs - to image files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from vitrail.data.images import IMAGE_SUFFIXES
from vitrail.errors import DataError, nearest


def find_pictures(named: Sequence[str]) -> list[Path]:
    """Return the files meant by names of files, folders (searched to any depth) and globs, each once.

    Raises:
        DataError: a name means no picture.
    """
    found: dict[Path, None] = {}
    for name in named:
        for path in _meant_by(name):
            found[path] = None
    return list(found)


def _meant_by(name: str) -> list[Path]:
    if not name.strip():
        raise DataError("an image has an empty name; give a file, a folder or a glob")
    try:
        return _files_of(name)
    except (OSError, ValueError, RuntimeError) as error:  # Too long, of another user's home, not allowed to be read.
        shown = name if len(name) <= 80 else f"{name[:40]}...{name[-30:]}"
        raise DataError(f"{shown!r} cannot be looked for ({getattr(error, 'strerror', None) or error})") from None


def _files_of(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        if not files:
            raise DataError(f"there is no picture in {path}; known are {', '.join(sorted(IMAGE_SUFFIXES))}")
        return files
    # pathlib's own glob takes no absolute pattern.
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    matching = [Path(match) for match in matches if Path(match).is_file()]
    if not matching:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no picture, folder or match for {name!r}{nearest(path.name, siblings)}")
    return matching
