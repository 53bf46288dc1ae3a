"""All images of a data set that is audited, whatever task it is for, in a fixed order."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from vitrail.data.coco import annotation_files, image_file, images_folder, is_coco, read_annotations
from vitrail.data.item import FileItem, Item, MissingItem, files_among
from vitrail.data.listed import Listed, listed_images
from vitrail.data.scenes import is_scenes
from vitrail.data.segment_folders import NAMES_FILE, is_segments, open_segments
from vitrail.data.segments import SegmentImages
from vitrail.data.wrapper_folders import enter
from vitrail.errors import ConfigError, DataError, ImageError
from vitrail.paths import user_path

Kind = Literal["classes", "unlabelled", "objects", "segments"]


@dataclass(frozen=True)
class AuditedData:
    """The images of a data set and what is known of them.

    Attributes:
        name: what the user called it.
        listed: the images, with class and split where there are such.
        kind: of its labels: a class for each image, none, objects in boxes, or a class for every pixel.
        root: the folder or file it lies in; None where it lies in no file.
        beside: by an image's number, files that belong to it alone: its mask.
        shared: files that belong to all of them: the names of the classes.
    """

    name: str
    listed: Listed
    kind: Kind
    root: Path | None
    beside: Mapping[int, tuple[Path, ...]] = field(default_factory=dict)
    shared: tuple[Path, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in order; empty where images have none."""
        return tuple(sorted({label for label in self.listed.labels if label is not None}))

    def called(self, number: int) -> str:
        """Return what an image is called: a file by its path, what is no Unicode of it as an escape."""
        item = self.listed.items[number]
        name = item.name if item.path is None else str(item.path)
        return name.encode("utf-8", "backslashreplace").decode()

    def labels(self) -> np.ndarray:
        """Return the number of each image's class: ``(N,)`` int64; -1 where it has none."""
        number = {name: place for place, name in enumerate(self.class_names)}
        return np.array([-1 if name is None else number[name] for name in self.listed.labels], dtype=np.int64)


def audited_data(name: str, ignore: int = 255) -> AuditedData:
    """Open a data set of any task for its images.

    Args:
        name: a folder, a CSV, or ``digits``.
        ignore: the value in masks that means void.

    Raises:
        ConfigError: scenes, which are drawn when they are asked for.
        DataError: there is no such data set, or no image in it.
    """
    if is_scenes(name):
        raise ConfigError(f"{name} are drawn when they are asked for; there are no files to audit with --deep")
    root = user_path(name)
    if is_coco(place := enter(root, is_coco)):
        return _checked(AuditedData(name, _of_coco(place), "objects", place))
    if is_segments(place := enter(root, is_segments)):
        with contextlib.suppress(DataError):  # what `vitrail train` refuses still has images
            return _checked(_of_segments(name, place, ignore))
    listed = listed_images(name)
    kind: Kind = "classes" if any(label is not None for label in listed.labels) else "unlabelled"
    return _checked(AuditedData(name, listed, kind, root if root.exists() else None))


def _checked(data: AuditedData) -> AuditedData:
    if not data.listed.items:
        raise DataError(f"there are no images in {data.name}")
    return data


def _of_coco(root: Path) -> Listed:
    """List what the files of annotations name; what is not there is an image that cannot be opened."""
    items: list[Item] = []
    splits: list[str] = []
    for split, file in annotation_files(root).items():
        folder = images_folder(root, file)
        for image in read_annotations(file)["images"]:
            items.append(_named(root, folder, image["file_name"]))
            splits.append(split)
    return Listed(tuple(items), (None,) * len(items), tuple(splits))


def _named(root: Path, folder: Path, name: str) -> Item:
    try:
        return FileItem(name, image_file(root, folder, name))
    except DataError as error:
        return MissingItem(name, str(error))


def _of_segments(name: str, root: Path, ignore: int) -> AuditedData:
    source = open_segments(root, ignore=ignore, validation_share=0, for_evaluation=True)
    items: list[Item] = []
    splits: list[str] = []
    beside: dict[int, tuple[Path, ...]] = {}
    for split in ("train", "validation", "test"):
        if isinstance(images := getattr(source, split), SegmentImages):
            beside |= {len(items) + number: tuple(files_among([mask])) for number, mask in enumerate(images.masks)}
            items += [images.item(number) for number in range(len(images))]
            splits += [split] * len(images)
    listed = Listed(tuple(items), (None,) * len(items), tuple(splits), source.notes)
    names = root / NAMES_FILE
    return AuditedData(name, listed, "segments", root, beside, (names,) if names.is_file() else ())


def sizes_of(items: list[Item]) -> np.ndarray:
    """Return width and height of images, in pixels: ``(N, 2)`` int64; 0 of one that cannot be read."""
    return np.array([_size(item) for item in items], dtype=np.int64).reshape(-1, 2)


def _size(item: Item) -> tuple[int, int]:
    try:
        return item.stated_size or item.size
    except ImageError:
        return 0, 0


__all__ = ["AuditedData", "audited_data", "sizes_of"]
