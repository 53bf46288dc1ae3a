"""A list of classes beside the images of a split without folders for them, as Tiny ImageNet has one for validation."""

from __future__ import annotations

from pathlib import Path

from vitrail.data.file_rules import list_images, named
from vitrail.data.listing import Listing
from vitrail.errors import DataError

LISTS = ("val_annotations.txt", "test_annotations.txt", "train_annotations.txt")
"""Text files with the name of an image and that of its class in each line, and what else there may be behind."""


def classes_of_list(folder: Path, listing: Listing) -> dict[str, list[Path]]:
    """Find the images of each class of a split by its list; none where there is no list.

    Raises:
        DataError: the list cannot be read, or lacks a class for an image.
    """
    file = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    if file is None:
        return {}
    class_of = _read(file)
    found: dict[str, list[Path]] = {}
    unlisted = []
    for image in list_images(folder):
        name = class_of.get(image.name)
        unlisted += [] if name else [image.name]
        found.setdefault(name or "", []).append(image)
    if unlisted:
        raise DataError(f"{file} has no class for {named(unlisted)}; add a line NAME, a tab and the class for each")
    listing.notes.append(f"The classes of the images in {folder} are read from {file.name}.")
    return found


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the classes cannot be read from {file} ({error})") from None
    rows = [line.split("\t") for line in lines if line.strip()]
    wrong = next((number for number, row in enumerate(rows) if len(row) < 2 or not row[1].strip()), None)
    if wrong is not None:
        raise DataError(f"{file}: line {wrong + 1} has no class behind a tab")
    return {row[0].strip(): row[1].strip() for row in rows}


__all__ = ["classes_of_list"]
