"""Folders that only wrap another one, as archives leave them: they are entered, and it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vitrail.data.file_rules import has_images, list_folders, list_images


def enter(root: Path, holds: Callable[[Path], bool]) -> Path:
    """Return the folder that holds a data set of some layout: the one named, or the only one with images in it.

    Args:
        root: the folder that was named; it is returned too where there is no such folder.
        holds: whether a folder is laid out so.

    Raises:
        DataError: a folder cannot be read.
    """
    place = root
    while place.is_dir() and not holds(place):
        inner = [folder for folder in list_folders(place) if has_images(folder)]
        if len(inner) != 1 or list_images(place, deep=False):
            return root
        place = inner[0]
    return place


def note_of_entering(root: Path, place: Path) -> list[str]:
    """Return the sentence that says which folder a data set is read from; none where it is the one named."""
    return (
        [] if place == root else [f"The data set is read from the folder {str(place.relative_to(root))!r} in {root}."]
    )


__all__ = ["enter", "note_of_entering"]
