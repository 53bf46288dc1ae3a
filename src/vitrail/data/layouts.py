"""Recognising folders made for detection or segmentation, so that nobody trains a classifier of images against masks.

Only names, and the beginnings of a few files, are looked at.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vitrail.data.file_rules import has_images, is_image_name, is_junk, list_folders, split_of, suffix_of
from vitrail.errors import DataError

IMAGE_FOLDERS = ("images", "img", "pictures")
MASK_FOLDERS = ("masks", "annotations", "labels", "segments")
"""Names of the folders of images and of masks that vitrail reads."""

LOOKED_AT = 200
"""Files of a folder that are looked at to learn what it holds."""
HEAD = 1 << 16
"""Bytes of an annotation file that are looked at, at its beginning and at its end."""

_IMAGE_WORDS = frozenset(
    word
    for line in (
        "image images img imgs images photos frames input inputs",
        "jpegimages jpgimages leftimg8bit jpegs jpgs rgb",
    )
    for word in line.split(" ")
)
_MASK_WORDS = frozenset(
    word
    for line in (
        "mask masks annotation annotations annot annots annos label labels labelids labelstxt xml xmls",
        "segment segments seg segmentation segmentations segmentationclass segmentationobject",
        "gt gts gtfine groundtruth trimap trimaps",
    )
    for word in line.split(" ")
)
_MASK_ENDS = ("masks", "mask", "seg", "annot", "labels", "groundtruth")


class OtherTask(DataError):
    """A folder was made for another task than telling classes apart."""


@dataclass(frozen=True)
class DenseLayout:
    """A folder that is laid out for detection or segmentation.

    Attributes:
        name: the layout: COCO, YOLO, Pascal VOC, CVAT, Label Studio, LabelMe, CreateML, masks, ...
        task: what is learned from it, a value of ``--task``.
        readable: whether vitrail reads it as it is.
        sentence: why it is no set of classes, and what to do; for people.
        masks: folders whose images are masks.
        needed: what makes it readable, half a sentence; "" where it is.
    """

    name: str
    task: str
    readable: bool
    sentence: str
    masks: tuple[Path, ...] = ()
    needed: str = ""


_ANNOTATION_NAME = re.compile("annot|coco|instances|label|result")
ANNOTATIONS_LOOKED_AT = 10


def recognise(root: Path) -> DenseLayout | None:
    """Recognise the layout of a folder; None where it is none made for detection or segmentation.

    Raises:
        DataError: a folder cannot be read.
    """
    places = [root, *(folder for folder in list_folders(root) if split_of(folder.name))]
    looks: tuple[Callable[[Path, list[Path]], DenseLayout | None], ...] = (
        _coco,
        _label_files,
        _folders_side_by_side,
        _files_side_by_side,
    )
    return next((found for look in looks if (found := look(root, places))), None)


# --- one file of annotations for many images -----------------------------------------------------------------


def _coco(root: Path, places: list[Path]) -> DenseLayout | None:
    """COCO as vitrail reads it."""
    if not any((root / "annotations").glob("instances_*.json")):
        return None
    sentence = (
        f"{root} is a COCO set (annotations/instances_*.json) for object detection, not for telling classes apart; "
        "learn from it with --task detect"
    )
    return DenseLayout("COCO", "detect", True, sentence)


def _label_files(root: Path, places: list[Path]) -> DenseLayout | None:
    """A JSON, XML or CSV file that annotates the images beside it or below."""
    annotations = [folder for folder in list_folders(root) if folder.name.lower() in ("annotations", "annotation")]
    if any(map(_has_classes, places)):
        return None
    for place in (*places, *annotations):
        for name in _likely_annotations(place):
            kind = _kind_of_file(place / name)
            if kind == "COCO":
                what = f"COCO set ({(place / name).relative_to(root)})"
                return _foreign(root, what, "detect", _COCO_NEEDED)
            if kind:
                return _foreign(root, f"{kind} set ({(place / name).relative_to(root)})", "detect", _convert(kind))
    return None


def _likely_annotations(place: Path) -> list[str]:
    """List some files that may annotate others, those that are called so first."""
    names = [name for name in _files(place) if suffix_of(name) in (".json", ".xml", ".csv")]
    return sorted(names, key=lambda name: not _ANNOTATION_NAME.search(name.casefold()))[:ANNOTATIONS_LOOKED_AT]


def _has_classes(place: Path) -> bool:
    """Whether a folder holds folders of images that are called as classes are."""
    folders = (f for f in list_folders(place) if not split_of(f.name))
    named = (f for f in folders if not is_named_as_part(f.name))
    return sum(1 for _ in itertools.islice(filter(has_images, named), 2)) > 1


_COCO_NEEDED = (
    "the json must be called annotations/instances_train.json (instances_val.json, instances_test.json) and the images "
    "lie in images/train (images/val, images/test)"
)


def _kind_of_file(file: Path) -> str | None:
    suffix = file.suffix.lower()
    if suffix == ".json":
        return _kind_of_json(_ends(file))
    if suffix == ".xml" and re.search(r"<annotations\b", _ends(file)):
        return "CVAT"
    if suffix == ".csv":
        heading = set(re.split(r"[,;\t]", _ends(file).split("\n", 1)[0].strip().lower().replace('"', "")))
        return "CSV of boxes" if names_boxes(heading) else None
    return None


def names_boxes(heading: Iterable[str]) -> bool:
    """Whether the columns of a table, in lower case, are those of the sides of boxes."""
    return {"xmin", "ymin", "xmax", "ymax"} <= {name.replace("_", "") for name in heading}


def _kind_of_json(text: str) -> str | None:
    """Tell the kinds of JSON apart by their keys."""
    keys = set(re.findall(r'"(\w+)"\s*:', text))
    is_list = text.lstrip("\ufeff \r\n\t").startswith("[")
    if not is_list and len(keys & {"images", "annotations", "categories"}) > 1 and keys & {"bbox", "segmentation"}:
        return "COCO"
    if is_list and ({"annotations", "data"} <= keys or keys & {"rectanglelabels", "polygonlabels", "brushlabels"}):
        return "Label Studio"
    if is_list and {"annotations", "coordinates"} <= keys:
        return "CreateML"
    if "_via_img_metadata" in keys or {"regions", "shape_attributes"} <= keys:
        return "VGG Image Annotator"
    return None


# --- a folder of labels beside the folder of images ----------------------------------------------------------


def _folders_side_by_side(root: Path, places: list[Path]) -> DenseLayout | None:
    """Folders of masks or label files beside folders of images, at the top or in the folders of the splits."""
    for place in places:
        folders = {folder.name: folder for folder in list_folders(place)}
        with_images = [name for name, folder in folders.items() if has_images(folder)]
        for name, folder in folders.items():
            image_folder = next((other for other in with_images if belongs_to(name, other)), None)
            if image_folder is None and name in with_images and _is_named_as_labels(name):
                image_folder = next((o for o in with_images if o != name and _are_masks_of(folder, folders[o])), None)
            if image_folder is None:
                continue
            found = _pair(root, place, image_folder, folder)
            if found:
                return found
    return None


def belongs_to(labels: str, images: str) -> bool:
    """Whether a folder is called as what belongs to the images in another: ``train_masks`` to ``train``."""
    if labels == images or not _is_named_as_labels(labels) or _is_named_as_labels(images):
        return False
    return any(word in _IMAGE_WORDS for word in _words(images)) or _stripped(labels) == _stripped(images) != ""


def _are_masks_of(labels: Path, images: Path) -> bool:
    """Whether the files in a folder called as masks are called as the images in another, at any depth."""
    if _is_named_as_labels(images.name):
        return False
    masks = [name for name in itertools.islice(_names_below(labels), LOOKED_AT) if suffix_of(name) in _LOSSLESS]
    suffixes = {_stem(name): suffix_of(name) for name in _names_below(images) if is_image_name(name)} if masks else {}
    same = [name for name in masks if (stem := _stem(name)) in suffixes and not _is_chance(stem, name, suffixes[stem])]
    return 2 * len(same) > len(masks)


_LOSSLESS = frozenset({".png", ".tif", ".tiff", ".bmp", ".gif"})


def _is_chance(stem: str, mask: str, suffix: str) -> bool:
    """Whether an image may have a mask's name although it is none: images of any class are called ``12.png``."""
    return stem.isdecimal() and suffix_of(mask) == suffix


def _is_named_as_labels(name: str) -> bool:
    words = _words(name.rstrip("0123456789"))
    return any(word in _MASK_WORDS for word in words) or "".join(words).endswith(_MASK_ENDS)


def is_named_as_part(name: str) -> bool:
    """Whether a folder is called as what holds images or their labels, whatever these show."""
    return _is_named_as_labels(name) or any(word in _IMAGE_WORDS for word in _words(name))


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[-_ .]+", name.casefold()) if word]


def _stripped(name: str) -> str:
    """Return a folder's name without what says that it holds images or masks."""
    left = "".join(word for word in _words(name) if word not in _IMAGE_WORDS | _MASK_WORDS)
    return next((left.removesuffix(end) for end in _MASK_ENDS if left.endswith(end)), left)


def _pair(root: Path, place: Path, image_folder: str, labels: Path) -> DenseLayout | None:
    """Tell what a folder of labels beside a folder of images holds."""
    suffixes = _suffixes(labels)
    both = f"{_at(root, place / image_folder)}/ with {_at(root, labels)}/"
    if suffixes["images"]:
        return _masks(root, place, image_folder, labels, both)
    kinds = {".txt": "YOLO", ".xml": "Pascal VOC", ".json": "LabelMe"}
    for suffix, kind in kinds.items():
        if suffixes[suffix] and (suffix != ".txt" or _is_yolo(labels)):
            return _foreign(root, f"{kind} set ({both}*{suffix})", "detect", _convert(kind))
    return None


def _masks(root: Path, place: Path, image_folder: str, labels: Path, both: str) -> DenseLayout:
    masks = tuple(
        folder
        for other in (place, *(f for f in list_folders(root) if split_of(f.name)))
        for folder in list_folders(other)
        if _is_named_as_labels(folder.name) and has_images(folder)
    )
    if place == root and image_folder in IMAGE_FOLDERS and labels.name in MASK_FOLDERS:
        sentence = (
            f"{root} is a set for segmentation ({both}), not for telling classes apart; "
            "learn from it with --task segment"
        )
        return DenseLayout("masks", "segment", True, sentence, masks)
    found = _foreign(root, f"set of images and masks ({both})", "segment", _MASKS_NEEDED)
    return DenseLayout(found.name, found.task, False, found.sentence, masks)


_MASKS_NEEDED = (
    "images must lie in images/train and their masks in masks/train under the same names with .png (val, test likewise)"
)


# --- a label file beside each image ------------------------------------------------------------------------


def _files_side_by_side(root: Path, places: list[Path]) -> DenseLayout | None:
    """Images with a file of labels, or a mask, of the same name in the same folder."""
    if any(map(_has_classes, places)):
        return None
    for place in (*places, *(folder for folder in list_folders(root) if folder.name.startswith("obj_"))):
        names = _files(place)
        images = {_stem(name) for name in names if is_image_name(name) and not _is_mask(name)}
        kinds = {".txt": "YOLO", ".xml": "Pascal VOC", ".json": "LabelMe"}
        for suffix, kind in kinds.items():
            beside = [name for name in names if suffix_of(name) == suffix and _stem(name) in images]
            if 2 * len(beside) > len(images) > 0 and (suffix != ".txt" or _looks_like_boxes(place / beside[0])):
                what = f"{kind} set (a {suffix} file beside each image in {_at(root, place)}/)"
                return _foreign(root, what, "detect", _convert(kind))
        masks = [name for name in names if is_image_name(name) and _is_mask(name)]
        if 2 * len(masks) > len(images) > 0:
            what = f"set of images and masks ({masks[0]} beside its image in {_at(root, place)}/)"
            return _foreign(root, what, "segment", _MASKS_NEEDED)
    return None


# --- shared --------------------------------------------------------------------------------------------------


def _foreign(root: Path, what: str, task: str, needed: str) -> DenseLayout:
    task_name = {"detect": "object detection", "segment": "segmentation"}[task]
    sentence = (
        f"{root} looks like a {what} for {task_name}, not for telling classes apart; "
        f"to learn from it with --task {task}, {needed}"
    )
    return DenseLayout(what.split(" set")[0], task, False, sentence, needed=needed)


def _convert(kind: str) -> str:
    """Say how labels of another kind become COCO's."""
    return {
        "YOLO": "convert its labels to COCO's json, which is what vitrail reads "
        "(annotations/instances_train.json with images/train; Roboflow, CVAT and FiftyOne export it)",
        "CVAT": "export it from CVAT as 'COCO 1.0': vitrail reads annotations/instances_train.json with images/train",
        "Label Studio": "export it from Label Studio as 'COCO': vitrail reads annotations/instances_train.json with "
        "images/train",
    }.get(kind, "convert its labels to COCO's json: vitrail reads annotations/instances_train.json with images/train")


def _at(root: Path, place: Path) -> str:
    return str(place.relative_to(root)) if place != root else root.name


def _files(folder: Path) -> list[str]:
    """List the names of a folder's first files, but junk."""
    with os.scandir(folder) as entries:
        names = itertools.islice((e.name for e in entries if not is_junk(e.name) and e.is_file()), 10 * LOOKED_AT)
        return sorted(names)


def _suffixes(folder: Path) -> Counter[str]:
    """Count the suffixes of some files of a folder, at any depth; all images as ``images``."""
    names = itertools.islice(_names_below(folder), LOOKED_AT)
    return Counter("images" if is_image_name(name) else suffix_of(name) for name in names)


def _names_below(folder: Path) -> Iterator[str]:
    for _, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not is_junk(name))
        yield from (name for name in sorted(names) if not is_junk(name))


def _is_yolo(labels: Path) -> bool:
    """Whether a folder's text files hold boxes, or nothing, as for an image without objects."""
    files = itertools.islice((Path(f, n) for f, _, ns in os.walk(labels) for n in ns if suffix_of(n) == ".txt"), 10)
    return any(_looks_like_boxes(file) for file in files if file.name != "classes.txt")


def _looks_like_boxes(file: Path) -> bool:
    lines = [line.split() for line in _ends(file).splitlines() if line.strip()]
    return all(len(line) >= 5 and all(map(_is_number, line)) for line in lines[:1])


def _is_number(word: str) -> bool:
    return re.fullmatch(r"[-+]?[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?", word, re.IGNORECASE) is not None


def _ends(file: Path) -> str:
    """Read the beginning and the end of a file; nothing of one that cannot be read."""
    try:
        if not file.is_file():
            return ""
        with file.open("rb") as opened:
            head = opened.read(HEAD)
            size = os.fstat(opened.fileno()).st_size
            if size > 2 * HEAD:
                opened.seek(-HEAD, os.SEEK_END)
            tail = opened.read(HEAD)
    except OSError:
        return ""
    return (head + tail).decode("utf-8", "replace")


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122


def _is_mask(name: str) -> bool:
    return _stem(name).casefold().endswith(("_mask", "-mask"))


__all__ = [
    "IMAGE_FOLDERS",
    "MASK_FOLDERS",
    "DenseLayout",
    "OtherTask",
    "belongs_to",
    "is_named_as_part",
    "names_boxes",
    "recognise",
]
