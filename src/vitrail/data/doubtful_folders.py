"""Folders that stand where those of classes should, but are none: refused, as they would be learned in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vitrail.data.file_rules import folders_of_images, has_images, list_folders, list_images, named
from vitrail.data.layouts import is_named_as_part
from vitrail.data.split_names import are_parts
from vitrail.errors import DataError

SHARED = 2
"""Two folders that share so many folders of images hold the same classes."""


def refuse_parts(place: Path) -> None:
    """Refuse the numbered parts in which large sets are handed out.

    Raises:
        DataError: all folders of images are such parts.
    """
    names = folders_of_images(place)
    if not are_parts(names):
        return
    tables = tables_in(place)
    what = f"name {tables[0]} if it holds their classes, or put" if tables else "put"
    raise DataError(
        f"{place} holds parts of one set ({named(names)}), which are no classes; {what} the images of each class of "
        "all parts into one folder named after it"
    )


def refuse_renditions(place: Path) -> None:
    """Refuse folders that all hold the same folders of images, as ``color`` and ``grayscale`` do: they are no classes.

    Where the folders outnumber those in each, they are classes with parts: forty people in two sessions.

    Raises:
        DataError: the classes lie a level deeper, in each of these folders.
    """
    inner = {folder: _named_as_classes(folder) for folder in list_folders(place) if has_images(folder)}
    shared = set.intersection(*inner.values()) if len(inner) > 1 else set()
    if len(shared) < max(SHARED, len(inner)) or any(list_images(folder, deep=False) for folder in inner):
        return
    first = next(iter(inner))
    raise DataError(
        f"{place} holds {named(folder.name for folder in inner)}, each with the same folders of images "
        f"({named(sorted(shared))}): if these are the classes, name one of the folders, such as {first}, or call them "
        "'train', 'val' and 'test' where they are splits; if not, put all images of a class right into its folder"
    )


def _named_as_classes(folder: Path) -> set[str]:
    """Return the folders of images in a folder, but those called as what holds images or masks."""
    return {name for name in folders_of_images(folder) if not is_named_as_part(name)}


def refuse_classes_twice(place: Path, splits: Sequence[Path], others: Sequence[Path]) -> None:
    """Refuse what is called a split and holds the classes that stand beside it, or that another folder holds too.

    Raises:
        DataError: there is such a folder.
    """
    beside = {folder.name for folder in others}
    for folder in splits:
        inner = folders_of_images(folder)
        twice = [name for name in inner if name in beside]
        if twice:
            raise DataError(
                f"{place} holds the classes {named(twice)} beside a folder {folder.name!r} with the same classes; "
                "move those to learn from into a folder 'train'"
            )
        for other in others:
            if len(set(inner).intersection(folders_of_images(other))) >= SHARED:
                raise DataError(
                    f"{place} holds {other.name!r} beside {folder.name!r} with the same classes in both; call the "
                    "folder to learn from 'train'"
                )


def refuse_sets(parts: Mapping[Path, Sequence[Path]]) -> None:
    """Refuse several whole data sets side by side, each with its own splits and the same classes in them.

    Args:
        parts: for each folder that may be a class its folders for the splits.

    Raises:
        DataError: all these hold the same folders of images, and no image beside them.
    """
    every = [folder for folders in parts.values() for folder in folders]
    shared = set.intersection(*(set(folders_of_images(folder)) for folder in every)) if every else set()
    if len(parts) > 1 and len(shared) >= SHARED and not any(list_images(folder, deep=False) for folder in every):
        names = named(folder.name for folder in parts)
        raise DataError(f"{names} are data sets, each with splits and classes of its own; name one of them")


def tables_in(*folders: Path) -> list[str]:
    """Return the names of the CSV files in some folders."""
    return sorted(file.name for folder in folders for file in folder.glob("*.csv") if file.is_file())


__all__ = ["refuse_classes_twice", "refuse_parts", "refuse_renditions", "refuse_sets", "tables_in"]
