"""From what a user names - files, folders, globs - to image files."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from vitrail.data.file_rules import is_junk, list_images, no_images
from vitrail.errors import DataError, nearest
from vitrail.paths import user_path


def find_images(named: Sequence[str]) -> list[Path]:
    """Return the files meant by names of files, folders (searched to any depth) and globs, each once.

    Raises:
        DataError: a name means no image.
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
    path = user_path(name)
    if path.is_file():
        return [path]
    if path.is_dir():
        files = sorted(list_images(path))
        if not files:
            raise no_images(path)
        return files
    # pathlib's own glob takes no absolute pattern.
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207
    named = set(path.parts)
    matching = [Path(match) for match in matches if Path(match).is_file() and not _is_junk(Path(match), named)]
    if not matching:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no image, folder or match for {name!r}{nearest(path.name, siblings)}")
    return matching


def _is_junk(file: Path, named: set[str]) -> bool:
    """Whether a file is hidden, or in a hidden folder, which the user has not named himself."""
    return any(is_junk(part) for part in file.parts if part not in named)
