"""Reading a JSON file of COCO's instances: every record has the types it should, or one sentence names it.

What other tools write is converted where that is exact: numbers as text or as floats, ids as text, corners in pairs,
``iscrowd`` as text, backslashes in file names, a byte-order mark, UTF-16. All else is refused.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import posixpath
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.data.images import MAX_PIXELS
from vitrail.errors import DataError

Id = int | str
"""Of an image, a category or an annotation; text that is a whole number counts as the number."""

NEEDED = {
    "images": ("id", "file_name", "width", "height"),
    "annotations": ("image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
"""What every entry of each part of a file must have; all else in COCO's format may be left out."""

LARGEST_EXACT = 2**53
"""Below this every whole number is exact as a float."""

# What a value of JSON costs in memory, in bytes, and how much a file may unfold to: real ones stay below five times
# their size, files that consist of brackets reach fifty times.
BYTES_OF = {b"{": 240, b"[": 80, b",": 32}
MOST_BYTES = 1_200_000_000
MOST_TIMES = 5

CROWD_WORDS = {"0": 0, "1": 1, "false": 0, "true": 1}


def read_annotations(file: Path) -> dict[str, Any]:
    """Read a JSON file of COCO's.

    Returns:
        Its ``images``, ``annotations`` and ``categories``. Ids, names and sizes of images are right in each; boxes,
        crowds and masks are in COCO's form where that was possible, and `vitrail.data.coco_checks` names the others.

    Raises:
        DataError: it is no such file.
    """
    read = _parsed(file)
    missing = [part for part in NEEDED if not isinstance(read, dict) or not isinstance(read.get(part), list)]
    if missing:
        raise DataError(f"{file} is no file of COCO's instances: it has no {' and no '.join(missing)}")
    for part, needed in NEEDED.items():
        for number, one in enumerate(read[part]):
            lacking = [name for name in needed if not isinstance(one, dict) or name not in one]
            if lacking:
                raise DataError(f"{file}: number {number} of its {part} has no {' and no '.join(lacking)}")
    for number, image in enumerate(read["images"]):
        with _of_record(file, f"number {number} of its images"):
            image["id"] = as_id(image["id"], "id")
            image["file_name"] = _as_file_name(image["file_name"])
            _set_size(image)
    _refuse_repeated_images(file, read["images"])
    for number, category in enumerate(read["categories"]):
        with _of_record(file, f"number {number} of its categories"):
            category["id"] = as_id(category["id"], "id")
            category["name"] = _as_name(category["name"])
    for number, annotation in enumerate(read["annotations"]):
        # Annotations come by the million, and nearly all are as they should be.
        if not (type(annotation["image_id"]) is type(annotation["category_id"]) is int):
            with _of_record(file, f"number {number} of its annotations"):
                annotation["image_id"] = as_id(annotation["image_id"], "image_id")
                annotation["category_id"] = as_id(annotation["category_id"], "category_id")
        _simplify(annotation)
    return read


def as_id(value: Any, what: str) -> Id:
    """Return an id as a whole number where it is one, however it is written, else as text.

    Raises:
        DataError: it is neither.
    """
    if type(value) is int:
        return value
    whole = _as_number(value)
    if type(whole) is int:
        return whole
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise DataError(f"has {shown(value)} for its {what}, which must be a whole number or text")


def category_names(read: dict[str, Any], file: Path) -> dict[Id, str]:
    """Return the name of each category by its id, in the order of the ids, which may leave numbers out.

    Raises:
        DataError: there are none, or two have the same id or name.
    """
    rule = f"{file} must name one or more different categories, each with an id and a name of its own"
    if not read["categories"]:
        raise DataError(f"{rule}; it names none")
    ids: dict[str, Id] = {}
    names: dict[Id, str] = {}
    for category in read["categories"]:
        id_, name = category["id"], category["name"]
        if id_ in names:
            raise DataError(f"{rule}; {names[id_]!r} and {name!r} both have the id {shown(id_)}")
        if name in ids:
            raise DataError(f"{rule}; categories {shown(ids[name])} and {shown(id_)} are both called {name!r}")
        ids[name], names[id_] = id_, name
    return dict(sorted(names.items(), key=lambda pair: order_of(pair[0])))


def order_of(id_: Id) -> tuple[bool, int, str]:
    """Sort key of ids: numbers by size, then texts."""
    return (True, 0, id_) if isinstance(id_, str) else (False, id_, "")


def _parsed(file: Path) -> Any:
    """Read JSON, unless it is made to fill the memory."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error})") from None
    if not content.strip():
        raise DataError(f"{file} cannot be read: it is empty")
    cost = sum(content.count(letter) * each for letter, each in BYTES_OF.items())
    if cost > max(MOST_BYTES, MOST_TIMES * len(content)):
        raise DataError(
            f"{file} has {len(content) / 1e6:,.0f} MB and would unfold to {cost / 1e9:.1f} GB: it consists of brackets "
            "and commas, as no annotations do"
        )
    try:
        with without_collection():
            return json.loads(content)
    except RecursionError:
        raise DataError(f"{file} cannot be read: its lists are nested too deeply for annotations") from None
    except ValueError as error:
        raise DataError(f"{file} cannot be read ({str(error).partition(';')[0]})") from None


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """Keep Python from searching millions of new lists for garbage again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def _of_record(file: Path, record: str) -> Iterator[None]:
    """Say which record a sentence is about."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{file}: {record} {error}") from None


def _as_number(value: Any) -> int | float | None:
    """Return a number however it is written, whole ones as int; None for what is no finite number."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) < 400 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return value
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < LARGEST_EXACT else value


def _as_file_name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise DataError(f"has {shown(value)} for its file_name, which must be the name of a file")
    return posixpath.normpath(value.replace("\\", "/"))


def _as_name(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value
    if type(value) is int:
        return str(value)
    raise DataError(f"has {shown(value)} for its name, which must be text")


def _set_size(image: dict[str, Any]) -> None:
    """Make width and height whole numbers of pixels."""
    for side in ("width", "height"):
        pixels = _as_number(image[side])
        if type(pixels) is not int or pixels < 1:
            who = f"({image['file_name']}) has {shown(image[side])} for its {side}"
            raise DataError(f"{who}, which must be a whole number of pixels above 0")
        image[side] = pixels
    if image["width"] * image["height"] > MAX_PIXELS:
        raise DataError(
            f"({image['file_name']}) promises {shown(image['width'])} x {shown(image['height'])} pixels, more than the "
            f"limit of {MAX_PIXELS // 1_000_000} million"
        )


def _refuse_repeated_images(file: Path, images: list[dict[str, Any]]) -> None:
    """Refuse two images of one id, and one file listed twice: each listing would lack the other's objects."""
    ids: set[Id] = set()
    files: dict[str, Id] = {}
    twice = []
    for image in images:
        if image["id"] in ids:
            twice.append(image["id"])
        ids.add(image["id"])
    if twice:
        first = shown(twice[0])
        raise DataError(f"{file}: {len(twice)} images share their id with another; the first of these ids: {first}")
    for image in images:
        other = files.setdefault(image["file_name"], image["id"])
        if other != image["id"]:
            raise DataError(
                f"{file} lists {image['file_name']} twice, as image {shown(other)} and as image {shown(image['id'])}; "
                "put all its annotations under one of them"
            )


def _simplify(annotation: dict[str, Any]) -> None:
    """Bring an annotation's numbers into COCO's form where that is exact; what is left is named by the checks."""
    box = annotation["bbox"]
    if isinstance(box, list) and str in map(type, box):
        annotation["bbox"] = [side if (number := _as_number(side)) is None else number for side in box]
    crowd = annotation.get("iscrowd", 0)
    if type(crowd) is not int:
        annotation["iscrowd"] = _as_crowd(crowd)
    if "area" in annotation:
        area = annotation["area"]
        if area is None:
            del annotation["area"]
        elif isinstance(area, str):
            annotation["area"] = area if (number := _as_number(area)) is None else number
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        if [] in segmentation:
            annotation["segmentation"] = segmentation = [polygon for polygon in segmentation if polygon != []]
        for place, polygon in enumerate(segmentation):
            if isinstance(polygon, list) and not set(map(type, polygon)) <= {int, float}:
                segmentation[place] = _flat(polygon)
    elif isinstance(segmentation, dict):
        for part in ("size", "counts"):
            if isinstance(segmentation.get(part), list) and not set(map(type, segmentation[part])) <= {int}:
                segmentation[part] = [n if (number := _as_number(n)) is None else number for n in segmentation[part]]


def _as_crowd(value: Any) -> Any:
    """Return 0 or 1 for what means one of them, else the value itself."""
    if value is None:
        return 0
    if isinstance(value, bool | float) and value in (0, 1):
        return int(value)
    return CROWD_WORDS.get(value.strip().lower(), value) if isinstance(value, str) else value


def _flat(polygon: list[Any]) -> list[Any]:
    """Return a polygon of pairs, or of numbers as text, as one list of numbers; what is none stays as it is."""
    try:
        values = np.array(polygon)
        pairs = values.ndim == 2 and values.shape[1] == 2
        if values.ndim != 1 and not pairs:
            return polygon
        flat = [_as_number(value) for value in values.ravel().tolist()]
    except (ValueError, OverflowError):
        return polygon
    return polygon if None in flat else flat


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 2, 5, 3
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 40


def shown(value: Any) -> str:
    """Write a value of a stranger's file as JSON has it, shortened."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return _SHORT.repr(value)


__all__ = ["Id", "as_id", "category_names", "order_of", "read_annotations", "shown", "without_collection"]
