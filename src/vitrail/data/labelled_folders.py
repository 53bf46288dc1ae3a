"""A folder whose images have classes: by the folders they lie in, or by the one table that lies among them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from vitrail.data.class_folders import open_class_folders
from vitrail.data.csv_files import TABLE_SUFFIXES, open_csv
from vitrail.data.file_rules import has_images, is_image_name, list_folders
from vitrail.data.listing import Listing
from vitrail.errors import DataError


def open_labelled_folder(root: Path, *, for_evaluation: bool = False, known_classes: Collection[str] = ()) -> Listing:
    """List the images of a folder by class; `vitrail.data.class_folders.open_class_folders` explains.

    Raises:
        DataError: neither its folders nor a table among its images say the classes.
    """
    table = table_among_images(root)
    if table is None:
        return open_class_folders(root, for_evaluation=for_evaluation, known_classes=known_classes)
    try:
        listing = open_csv(table, True, for_evaluation=for_evaluation)
    except DataError as error:
        raise DataError(
            f"{root} holds images but no class folders; put those of each class into a folder named after "
            f"it, or mend the table among them ({error})"
        ) from None
    listing.notes.insert(0, f"The classes are those that {table.name} in {root} says.")
    return listing


def table_among_images(root: Path) -> Path | None:
    """Return the only table of a folder that holds images itself, and no folders of images; None where it differs."""
    try:
        files = [file for file in root.iterdir() if file.is_file() and not file.name.startswith(".")]
        tables = [file for file in files if file.suffix.lower() in TABLE_SUFFIXES]
        flat = any(is_image_name(file.name) for file in files) and not any(map(has_images, list_folders(root)))
    except OSError:
        return None
    return tables[0] if flat and len(tables) == 1 else None


__all__ = ["open_labelled_folder", "table_among_images"]
