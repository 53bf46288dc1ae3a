"""Images with objects in COCO's format: folders of images, and a JSON file of annotations for each split."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitrail.data import rle
from vitrail.data.coco_checks import Annotation, Effect, cut, each_mistake, mistakes, nothing_to_learn
from vitrail.data.coco_file import Id, category_names, order_of, read_annotations, without_collection
from vitrail.data.file_rules import named
from vitrail.data.layouts import recognise
from vitrail.data.objects import ObjectImages, Objects, check_size
from vitrail.data.sources import SPLIT_WORDS, Source, with_validation
from vitrail.data.turned import shown_size
from vitrail.data.wrapper_folders import enter, note_of_entering
from vitrail.errors import DataError, nearest
from vitrail.paths import user_path

LOOKED_AT = 200
"""So many images of a split are compared with the sizes their annotations say before training begins."""


@dataclass(frozen=True)
class CocoImage:
    """One image's annotations; ``class`` in each is the number of its category, from 0.

    Attributes:
        name: its file's name.
        size: width and height, in pixels.
        annotations: of all its objects, crowds too.
        masks: whether masks are learned from; if not, one that cannot be used matters to nobody.
    """

    name: str
    size: tuple[int, int]
    annotations: tuple[Annotation, ...]
    masks: bool = True

    def __len__(self) -> int:
        """Return the number of objects to learn from."""
        return sum(self._is_object(annotation) for annotation in self.annotations)

    @property
    def has_objects(self) -> bool:
        """Whether there is an object to learn from."""
        return any(map(self._is_object, self.annotations))

    def objects(self) -> Objects:
        """Return the objects to learn from: crowds, and boxes without an inside, are none."""
        width, height = self.size
        kept = [a for a in self.annotations if self._is_object(a)]
        boxes = torch.tensor([cut(a["bbox"], self.size) for a in kept], dtype=torch.float32).view(-1, 4)
        masks = np.zeros((len(kept), height, width), dtype=np.uint8)
        for mask, annotation in zip(masks, kept, strict=True):
            mask[:] = self.mask(annotation)
        return Objects(boxes, torch.tensor([a["class"] for a in kept], dtype=torch.int64), torch.from_numpy(masks))

    def mask(self, annotation: Annotation) -> np.ndarray:
        """Return an object's mask, bool ``(H, W)``; that of its box where it has none, or masks do not matter.

        Raises:
            DataError: what is given for it is no mask of this image.
        """
        width, height = self.size
        if annotation.get("segmentation"):
            try:
                with self._named(annotation):
                    return rle.decode(annotation["segmentation"], height, width)
            except DataError:
                if self.masks:
                    raise
        mask = np.zeros((height, width), dtype=bool)
        left, top, right, bottom = (round(side) for side in cut(annotation["bbox"], self.size) or (0, 0, 0, 0))
        mask[top:bottom, left:right] = True
        return mask

    def truth(self) -> list[Annotation]:
        """Return what is measured against; without ``segmentation`` where masks do not matter.

        Raises:
            DataError: what is given for a mask is none of this image.
        """
        if not self.masks:
            return [{key: value for key, value in a.items() if key != "segmentation"} for a in self.annotations]
        width, height = self.size
        for annotation in self.annotations:
            if annotation.get("segmentation"):
                # The measuring package takes anything for run lengths, and reads beyond their end.
                with self._named(annotation):
                    rle.check(annotation["segmentation"], height, width)
        return [{**a, "segmentation": a.get("segmentation") or _corners(a["bbox"])} for a in self.annotations]

    def _is_object(self, annotation: Annotation) -> bool:
        return not annotation.get("iscrowd") and cut(annotation["bbox"], self.size) is not None

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


@without_collection()
def open_coco(
    source: str | Path,
    *,
    seed: int = 0,
    validation_share: float = 0.2,
    masks: bool = True,
    class_names: Sequence[str] = (),
) -> Source:
    """Open a folder with ``annotations/instances_train.json`` and the images in ``images/train``.

    ``val`` and ``test`` likewise; a year after the split's name is welcome (``instances_train2017.json``,
    ``train2017``), and images may lie in ``images``, ``images/SPLIT`` or ``SPLIT``, or be named from the folder on.

    Args:
        source: the folder.
        seed: decides which images are held out where there is no validation split.
        validation_share: their share.
        masks: whether masks are learned from or measured; if not, mistakes in them do not matter.
        class_names: of the model that is to be measured, by which categories are numbered; by default those of the
            training split, which must then be there and show an object.

    Raises:
        DataError: there is no such folder or file, or its annotations cannot be used.
    """
    root = user_path(source)
    if not root.is_dir():
        siblings = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
        raise DataError(f"there is no folder {str(source)!r}{nearest(root.name, [*siblings, 'scenes'])}")
    place = enter(root, is_coco)
    notes, root = note_of_entering(root, place), place
    files = annotation_files(root)
    if "train" not in files and not (class_names and files):
        others = sorted(file.name for file in (root / "annotations").glob("*.json"))
        instead = f"; in annotations is {named(others)}" if others else ""
        raise DataError(
            f"{root} has no annotations/instances_train.json{instead}; objects are learned from COCO's format, with "
            f'the images in images/train, or from the word "scenes"{_looks_like(root)}'
        )
    read = {split: read_annotations(file) for split, file in files.items()}
    own = category_names(read["train"], files["train"]) if "train" in read else {}
    names = tuple(class_names or own.values())
    ids = tuple(own) if names == tuple(own.values()) else ()
    opened: dict[str, ObjectImages] = {}
    for split, file in files.items():
        known = _known(read[split], file, names, bool(class_names), masks, notes)
        opened[split] = _opened(root, file, known, ids)
        if not class_names and split != "test":
            _refuse_empty(str(file), opened[split], read[split]["annotations"])
    notes += _listed_twice(opened)
    train, validation, test = (opened.get(split) for split in ("train", "validation", "test"))
    found = with_validation(
        Source(root.resolve().name, train, validation, test, names, tuple(notes)), validation_share, seed
    )
    if not class_names and validation is None:
        _refuse_empty_parts(found, seed)
    return found


def _looks_like(root: Path) -> str:
    """Say which other layout a folder has, and how it becomes COCO's; "" where it has none that is known."""
    layout = recognise(root)
    if layout is None or layout.task != "detect" or not layout.needed:
        return ""
    return f"; this looks like a {layout.name} set: {layout.needed}"


def annotation_files(root: Path) -> dict[str, Path]:
    """Find the annotations of each split.

    Raises:
        DataError: two files are of one split.
    """
    found: dict[str, Path] = {}
    for file in sorted((root / "annotations").glob("instances_*.json")):
        split = SPLIT_WORDS.get(re.sub(r"\d+$", "", file.stem.removeprefix("instances_")).lower())
        if split in found:
            raise DataError(f"{root / 'annotations'} holds both {found[split].name} and {file.name}; keep one of them")
        if split:
            found[split] = file
    return found


def images_folder(root: Path, file: Path) -> Path:
    """Find where the images of a file of annotations lie; the root where none of the usual folders is there."""
    split = file.stem.removeprefix("instances_")
    for folder in (root / "images" / split, root / split, root / "images"):
        if folder.is_dir():
            return folder
    return root


def image_file(root: Path, folder: Path, name: str) -> Path:
    """Find an image by its name, which is relative to its split's folder, from the root or from ``images`` on."""
    for path in (folder / name, root / name, root / "images" / name):
        with contextlib.suppress(OSError):  # a name that is too long, say; opening it tells so
            if path.is_file():
                return path
    return folder / name


def count_objects(images: ObjectImages | None) -> int:
    """Return the number of objects to learn from in some images in COCO's format."""
    return sum(len(one) for one in images.annotated if isinstance(one, CocoImage)) if images else 0


def _has_objects(images: ObjectImages) -> bool:
    return any(one.has_objects for one in images.annotated if isinstance(one, CocoImage))


def _known(
    read: dict[str, Any], file: Path, names: Sequence[str], of_model: bool, masks: bool, notes: list[str]
) -> list[CocoImage]:
    """Return what is known of each image of a file; what is left out or changed is noted."""
    numbers = _numbers(read, file, names, of_model)
    left_out: set[int | None] = set()
    counted: dict[Effect, Counter[str]] = {Effect.LEFT_OUT: Counter(), Effect.CHANGED: Counter()}
    for mistake in mistakes(read, masks, draw=False):
        if mistake.effect is Effect.REFUSED:
            raise DataError(f"{file}: {mistake.text}; vitrail doctor DATA finds all such mistakes")
        if mistake.effect is Effect.DOUBTED:
            notes.append(f"{file.name}: {mistake.text}.")
            continue
        counted[mistake.effect][mistake.kind] += 1
        if mistake.effect is Effect.LEFT_OUT:
            left_out.add(mistake.number)
    for effect, word in ((Effect.LEFT_OUT, "left out"), (Effect.CHANGED, "changed")):
        if counted[effect]:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in counted[effect].items())
            count = f"{counted[effect].total():,} of {len(read['annotations']):,} annotations are {word}"
            notes.append(f"{file.name}: {count}: {kinds}.")
    by_image: dict[Id, list[Annotation]] = {image["id"]: [] for image in read["images"]}
    for number, annotation in enumerate(read["annotations"]):
        if number not in left_out and annotation["category_id"] in numbers:
            annotation["class"] = numbers[annotation["category_id"]]
            by_image[annotation["image_id"]].append(annotation)
    images = sorted(read["images"], key=lambda image: order_of(image["id"]))
    return [
        CocoImage(image["file_name"], (image["width"], image["height"]), tuple(by_image[image["id"]]), masks)
        for image in images
    ]


def _numbers(read: dict[str, Any], file: Path, names: Sequence[str], of_model: bool) -> dict[Id, int]:
    """Number a file's categories by their names.

    Raises:
        DataError: it has objects of a class that is none of these.
    """
    own = category_names(read, file)
    used = {annotation["category_id"] for annotation in read["annotations"]}
    unknown = [name for id_, name in own.items() if name not in names and id_ in used]
    if unknown:
        whose = "classes than the detector was trained on" if of_model else "categories than the training split"
        raise DataError(f"{file} has other {whose}: {', '.join(unknown[:8])} and not {', '.join(names[:8])}")
    return {id_: names.index(name) for id_, name in own.items() if name in names}


def _opened(root: Path, file: Path, known: list[CocoImage], ids: tuple[Id, ...]) -> ObjectImages:
    """Find the files of a split's images."""
    if not known:
        raise DataError(f"{file} lists no images")
    folder = images_folder(root, file)
    files = tuple(image_file(root, folder, image.name) for image in known)
    missing = [path for path in files if not path.is_file()]
    if missing:
        more = f", and {len(missing) - 1:,} more like it" if len(missing) > 1 else ""
        raise DataError(f"{file} lists an image that is not there: {missing[0]}{more}")
    if len(set(files)) < len(files):
        twice = Counter(files).most_common(1)[0][0]
        raise DataError(f"{file} lists {twice} twice, by different names; put all its annotations under one of them")
    for number in range(0, len(files), max(1, len(files) // LOOKED_AT)):
        size = shown_size(files[number])
        if size is not None:
            check_size(size, known[number].size, known[number].name, files[number])
    return ObjectImages(files, None, tuple(image.name for image in known), tuple(known), ids)


def _refuse_empty(where: str, images: ObjectImages, annotations: list[Annotation]) -> None:
    reason = nothing_to_learn(annotations, _has_objects(images))
    if reason:
        raise DataError(f"{where} {reason}; vitrail doctor DATA tells more")


def _refuse_empty_parts(source: Source, seed: int) -> None:
    """Refuse a held-out part, or a rest, that shows no object: it would end in figures that are no numbers."""
    for what, part in (("kept out for validation", source.validation), ("left for training", source.train)):
        if isinstance(part, ObjectImages) and not _has_objects(part):
            raise DataError(
                f"the {len(part):,} images of {source.name} {what} by seed {seed} show no object; take another "
                "--run.seed or --validation-share, or add annotations/instances_val.json"
            )


def _listed_twice(opened: dict[str, ObjectImages]) -> list[str]:
    """Note the images that several splits list: figures on them are too good."""
    first: dict[Path | Any, str] = {}
    shared: Counter[tuple[str, str]] = Counter()
    for split, images in opened.items():
        for item in images.items:
            other = first.setdefault(item, split)
            if other != split:
                shared[other, split] += 1
    return [
        f"{count:,} images are listed for {one} and for {other}: figures on them are too good."
        for (one, other), count in shared.items()
    ]


def _corners(box: list[float]) -> list[list[float]]:
    left, top, width, height = box
    return [[left, top, left + width, top, left + width, top + height, left, top + height]]


__all__ = [
    "CocoImage",
    "annotation_files",
    "category_names",
    "count_objects",
    "each_mistake",
    "image_file",
    "images_folder",
    "is_coco",
    "open_coco",
    "read_annotations",
]
