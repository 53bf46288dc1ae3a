"""Masks among the images of a class, which show the same objects and are no images of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitrail.data.layouts import belongs_to


def masks_among(root: Path, files: Iterable[Path]) -> set[Path]:
    """Return those files of a class that are masks of others.

    These are ``x_mask.png`` beside ``x.png``, and what lies in a folder ``masks`` beside a folder ``images``.

    Args:
        root: the class's folder.
        files: all its images, at any depth.
    """
    every = list(files)
    return _called_as_masks(every) | _in_folders_of_masks(root, every)


def _called_as_masks(files: list[Path]) -> set[Path]:
    masks = [file for file in files if "_mask" in file.name and _masked_stem(file.stem)]
    if not masks:
        return set()
    stems = {(file.parent, file.stem) for file in files}
    return {file for file in masks if (file.parent, _masked_stem(file.stem)) in stems}


def _masked_stem(stem: str) -> str | None:
    """Return the stem of the image that a mask called ``stem`` is of; None where it is not called as a mask."""
    before, found, after = stem.rpartition("_mask")
    return before if found and before and (not after or after.lstrip("_").isdecimal()) else None


def _in_folders_of_masks(root: Path, files: list[Path]) -> set[Path]:
    folders = {folder for inner in {file.parent for file in files} for folder in (inner, *inner.parents)}
    below = [folder for folder in folders if root in folder.parents]
    masks = {
        folder
        for folder in below
        if any(other.parent == folder.parent and belongs_to(folder.name, other.name) for other in below)
    }
    return {file for file in files if not masks.isdisjoint(file.parents)} if masks else set()


__all__ = ["masks_among"]
