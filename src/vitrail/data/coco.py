"""Pictures with objects in COCO's format: folders of pictures, and a JSON file of annotations for each split."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitrail.data import rle
from vitrail.data.objects import ObjectPictures, Objects
from vitrail.data.sources import SPLIT_WORDS, Source, with_validation
from vitrail.errors import DataError, nearest

Annotation = dict[str, Any]

NEEDED = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
"""What every entry of each part of a file must have; all else in COCO's format may be left out."""


@dataclass(frozen=True)
class CocoPicture:
    """One picture's annotations; ``class`` in each is the number of its category, from 0.

    Attributes:
        name: its file's name.
        size: width and height, in pixels.
        annotations: of all its objects, crowds too.
    """

    name: str
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]

    def objects(self) -> Objects:
        """Return the objects to learn from: crowds, and boxes without an inside, are none."""
        width, height = self.size
        kept = [a for a in self.annotations if not a.get("iscrowd") and _inside(a["bbox"], self.size)]
        boxes = torch.tensor([_inside(a["bbox"], self.size) for a in kept], dtype=torch.float32).view(-1, 4)
        masks = np.zeros((len(kept), height, width), dtype=np.uint8)
        for mask, annotation in zip(masks, kept, strict=True):
            mask[:] = self.mask(annotation)
        return Objects(boxes, torch.tensor([a["class"] for a in kept], dtype=torch.int64), torch.from_numpy(masks))

    def mask(self, annotation: Annotation) -> np.ndarray:
        """Return an object's mask, bool ``(H, W)``; that of its box where it has none.

        Raises:
            DataError: what is given for it is no mask of this picture.
        """
        width, height = self.size
        if not annotation.get("segmentation"):
            mask = np.zeros((height, width), dtype=bool)
            left, top, right, bottom = (round(side) for side in _inside(annotation["bbox"], self.size) or (0, 0, 0, 0))
            mask[top:bottom, left:right] = True
            return mask
        with self._named(annotation):
            return rle.decode(annotation["segmentation"], height, width)

    def truth(self) -> list[Annotation]:
        """Return what is measured against.

        Raises:
            DataError: what is given for a mask is none of this picture.
        """
        width, height = self.size
        for annotation in self.annotations:
            if annotation.get("segmentation"):
                # The measuring package takes anything for run lengths, and reads beyond their end.
                with self._named(annotation):
                    rle.check(annotation["segmentation"], height, width)
        return [{**a, "segmentation": a.get("segmentation") or _corners(a["bbox"])} for a in self.annotations]

    @contextlib.contextmanager
    def _named(self, annotation: Annotation) -> Iterator[None]:
        """Say whose mask it is that is none."""
        try:
            yield
        except DataError as error:
            raise DataError(f"annotation {annotation.get('id')} of {self.name}: {error}") from None


def is_coco(folder: Path) -> bool:
    """Whether a folder holds COCO's annotations."""
    return any((folder / "annotations").glob("instances_*.json"))


def open_coco(source: str | Path, *, seed: int = 0, validation_share: float = 0.2) -> Source:
    """Open a folder with ``annotations/instances_train.json`` and the pictures in ``images/train``.

    ``val`` and ``test`` likewise; a year after the split's name is welcome (``instances_train2017.json``,
    ``train2017``), and pictures may lie in ``images``, ``images/SPLIT`` or ``SPLIT``.

    Args:
        source: the folder.
        seed: decides which pictures are held out where there is no validation split.
        validation_share: their share.

    Raises:
        DataError: there is no such folder or file, or its annotations cannot be used.
    """
    root = Path(source).expanduser()
    if not root.is_dir():
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        raise DataError(f"there is no folder {str(source)!r}{nearest(root.name, [*siblings, 'scenes'])}")
    files = annotation_files(root)
    if "train" not in files:
        raise DataError(
            f"{root} has no annotations/instances_train.json; objects are learned from COCO's format, with the "
            'pictures in images/train, or from the word "scenes"'
        )
    names = category_names(read_annotations(files["train"]), files["train"])
    opened = {split: _open_split(root, file, names) for split, file in files.items()}
    train, validation, test = (opened.get(split) for split in ("train", "validation", "test"))
    found = Source(root.resolve().name, train, validation, test, tuple(names.values()))
    return with_validation(found, validation_share, seed)


def annotation_files(root: Path) -> dict[str, Path]:
    """Find the annotations of each split."""
    found: dict[str, Path] = {}
    for file in sorted((root / "annotations").glob("instances_*.json")):
        split = SPLIT_WORDS.get(re.sub(r"\d+$", "", file.stem.removeprefix("instances_")).lower())
        if split and split not in found:
            found[split] = file
    return found


def read_annotations(file: Path) -> dict[str, Any]:
    """Read a JSON file of COCO's.

    Raises:
        DataError: it is none.
    """
    try:
        read = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error})") from None
    missing = [part for part in NEEDED if not isinstance(read, dict) or not isinstance(read.get(part), list)]
    if missing:
        raise DataError(f"{file} is no file of COCO's instances: it has no {' and no '.join(missing)}")
    for part, needed in NEEDED.items():
        for number, one in enumerate(read[part]):
            lacking = [name for name in needed if not isinstance(one, dict) or name not in one]
            if lacking:
                raise DataError(f"{file}: number {number} of its {part} has no {' and no '.join(lacking)}")
    twice = [number for number, times in Counter(image["id"] for image in read["images"]).items() if times > 1]
    if twice:
        raise DataError(
            f"{file}: {len(twice)} pictures share their id with another; the first of these ids: {twice[0]}"
        )
    return read


def category_names(read: dict[str, Any], file: Path) -> dict[int, str]:
    """Return the name of each category by its id, in the order of the ids, which may leave numbers out.

    Raises:
        DataError: there are none, or two have the same id or name.
    """
    names = {category["id"]: category["name"] for category in read["categories"]}
    if not names or len(set(names.values())) < len(read["categories"]):
        raise DataError(f"{file} must name one or more different categories, each with an id of its own")
    return dict(sorted(names.items()))


def pictures_folder(root: Path, file: Path) -> Path:
    """Find where the pictures of a file of annotations lie."""
    split = file.stem.removeprefix("instances_")
    for folder in (root / "images" / split, root / split, root / "images"):
        if folder.is_dir():
            return folder
    raise DataError(f"there is no folder {root / 'images' / split} with the pictures of {file}")


def each_mistake(read: dict[str, Any]) -> Iterator[str]:
    """Name each annotation that cannot be used, or not as it is."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in read["images"]}
    categories = {category["id"] for category in read["categories"]}
    for annotation in read["annotations"]:
        who = f"annotation {annotation.get('id')}"
        size = sizes.get(annotation["image_id"])
        if size is None:
            yield f"{who} is of picture {annotation['image_id']}, which is not listed"
            continue
        if annotation["category_id"] not in categories:
            yield f"{who} is of category {annotation['category_id']}, which is not listed"
        if not _is_box(annotation["bbox"]):
            yield f"{who} has a box that is not four numbers"
            continue
        left, top, width, height = annotation["bbox"]
        if width <= 0 or height <= 0:
            yield f"{who} has a box without an inside"
        elif left < -1 or top < -1 or left + width > size[0] + 1 or top + height > size[1] + 1:
            yield f"{who} has a box that leaves its picture"
        elif annotation.get("segmentation"):
            try:
                if not rle.decode(annotation["segmentation"], size[1], size[0]).any():
                    yield f"{who} has a mask without a pixel"
            except DataError as error:
                yield f"{who}: {error}"


def _open_split(root: Path, file: Path, names: dict[int, str]) -> ObjectPictures:
    read = read_annotations(file)
    if category_names(read, file) != names:
        raise DataError(f"{file} has other categories than the training split; give every split the same list")
    numbers = {category: number for number, category in enumerate(names)}
    by_picture: dict[int, list[Annotation]] = {image["id"]: [] for image in read["images"]}
    for annotation in read["annotations"]:
        if annotation["image_id"] not in by_picture or annotation["category_id"] not in numbers:
            what = "category" if annotation["image_id"] in by_picture else "image"
            raise DataError(
                f"{file}: annotation {annotation.get('id')} is of {what} {annotation[f'{what}_id']}, which is not "
                "listed; vitrail doctor DATA finds all such mistakes"
            )
        if not _is_box(annotation["bbox"]):
            raise DataError(
                f"{file}: annotation {annotation.get('id')} has {annotation['bbox']!r} for a box, which must be left, "
                "top, width and height; vitrail doctor DATA finds all such mistakes"
            )
        by_picture[annotation["image_id"]].append({**annotation, "class": numbers[annotation["category_id"]]})
    folder = pictures_folder(root, file)
    images = sorted(read["images"], key=lambda image: image["id"])
    if not images:
        raise DataError(f"{file} lists no pictures")
    known = tuple(
        CocoPicture(image["file_name"], (image["width"], image["height"]), tuple(by_picture[image["id"]]))
        for image in images
    )
    files = tuple(folder / picture.name for picture in known)
    missing = [path for path in files if not path.is_file()]
    if missing:
        more = f", and {len(missing) - 1:,} more like it" if len(missing) > 1 else ""
        raise DataError(f"{file} lists a picture that is not there: {missing[0]}{more}")
    return ObjectPictures(files, None, tuple(picture.name for picture in known), known)


def _is_box(box: Any) -> bool:
    """Whether something is four finite numbers."""
    return isinstance(box, list) and len(box) == 4 and all(isinstance(n, int | float) and math.isfinite(n) for n in box)


def _inside(box: list[float], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Turn COCO's left, top, width and height into left, top, right and bottom within the picture."""
    left, top, width, height = box
    right, bottom = min(left + width, size[0]), min(top + height, size[1])
    left, top = max(left, 0), max(top, 0)
    return (left, top, right, bottom) if right > left and bottom > top else None


def _corners(box: list[float]) -> list[list[float]]:
    left, top, width, height = box
    return [[left, top, left + width, top, left + width, top + height, left, top + height]]


__all__ = [
    "CocoPicture",
    "annotation_files",
    "category_names",
    "each_mistake",
    "is_coco",
    "open_coco",
    "pictures_folder",
    "read_annotations",
]
