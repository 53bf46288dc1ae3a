"""What is wrong with COCO's annotations, asked alike by training, which refuses it, and by ``vitrail doctor``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from vitrail.data import polygons, rle
from vitrail.data.coco_boxes import BEYOND, doubtful_meaning, listed_twice, plain_boxes, said_twice, wrong_meaning
from vitrail.data.coco_file import Id, shown
from vitrail.errors import DataError

Annotation = dict[str, Any]

FARTHEST = polygons.FARTHEST
LARGEST_AREA = 1e15
MOST_DRAWN = 1_000_000_000
"""So many cells of polygons' finer grids are drawn to find masks without a pixel; some ten seconds."""
MOST_MASK_BYTES = 8_000_000_000
"""The masks of one image's objects, a byte a pixel, may take so much memory."""


class Effect(Enum):
    """What a mistake does to training."""

    REFUSED = "nothing is trained"
    LEFT_OUT = "the object is left out"
    CHANGED = "the object is changed"
    DOUBTED = "the objects are learned as they are"


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        text: a sentence without its end.
        effect: what it does to training.
        kind: what mistakes of its kind are called when they are counted.
        number: of the annotation in its file; None where it is of all of them.
    """

    text: str
    effect: Effect
    kind: str = ""
    number: int | None = None


def each_mistake(read: dict[str, Any]) -> Iterator[str]:
    """Name each annotation that cannot be used, or not as it is; ``read`` is of `coco_file.read_annotations`."""
    for mistake in mistakes(read):
        yield mistake.text
    yield from doubtful_categories(read)


def mistakes(read: dict[str, Any], masks: bool = True, draw: bool = True) -> Iterator[Mistake]:
    """Yield what is wrong with a file's annotations, one after the other, and then what is with all of them.

    Args:
        read: of `coco_file.read_annotations`.
        masks: whether masks matter; to a detector of boxes they do not.
        draw: whether polygons are drawn to see whether a pixel is inside.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in read["images"]}
    categories = {category["id"] for category in read["categories"]}
    annotations = read["annotations"]
    boxes, ends = plain_boxes(annotations), _ends(annotations, sizes)
    suspects = None if boxes is None else _suspects(annotations, boxes, ends, categories)
    left_to_draw = MOST_DRAWN if draw else 0
    for number, annotation in enumerate(annotations):
        # Nearly all are sound.
        if suspects is not None and number not in suspects and not (masks and annotation.get("segmentation")):
            continue
        size = sizes.get(annotation["image_id"])
        found = _of_record(annotation, size, categories) if suspects is None or number in suspects else None
        segmentation = annotation.get("segmentation") if masks else None
        # A box that is cut to its image says nothing of the mask.
        if segmentation and size is not None and (found is None or found.effect is Effect.CHANGED):
            thin = _cells_if_thin(segmentation, size) if draw else 0
            draws = 0 < thin <= left_to_draw
            left_to_draw -= thin if draws else 0
            found = _of_mask(segmentation, size, draws) or found
        if found is not None:
            text = f"annotation {shown(annotation.get('id'))} {found.text}"
            yield Mistake(text, found.effect, found.kind, number)
    yield from _of_all(annotations, boxes, ends)
    if masks:
        yield from _too_many_pixels(read, sizes)


def _ends(annotations: list[Annotation], sizes: dict[Id, tuple[int, int]]) -> np.ndarray:
    """Return width and height of each annotation's image, float64 ``(N, 2)``; below 0 where it is not listed."""
    unlisted = (-FARTHEST, -FARTHEST)
    found = [sizes.get(annotation["image_id"], unlisted) for annotation in annotations]
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def _suspects(annotations: list[Annotation], boxes: np.ndarray, ends: np.ndarray, categories: set[Id]) -> set[int]:
    """Return the numbers of the annotations that may be wrong in all but their masks.

    There are millions of annotations, and numpy looks at all of them at once.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        starts, extents = boxes[:, :2], boxes[:, 2:]
        sound = (starts >= -BEYOND) & (extents > 0) & (starts + extents <= ends + BEYOND) & (starts < ends)
    wrong = set(np.flatnonzero(~sound.all(axis=1)).tolist())
    for number, annotation in enumerate(annotations):
        area, crowd = annotation.get("area", 0), annotation.get("iscrowd", 0)
        plain = type(crowd) is int and 0 <= crowd <= 1 and type(area) in (int, float) and 0 <= area <= LARGEST_AREA
        if not plain or annotation["category_id"] not in categories:
            wrong.add(number)
    return wrong


def nothing_to_learn(annotations: list[Annotation], usable: bool) -> str:
    """Say, as half a sentence, why there is no object to learn from; "" where there is one."""
    if usable:
        return ""
    if not annotations:
        return "has no annotations: there is no object to learn from or to measure against"
    crowds = sum(bool(annotation.get("iscrowd")) for annotation in annotations)
    if crowds == len(annotations):
        return f"has no object to learn from or to measure against: all {crowds:,} annotations are crowds (iscrowd 1)"
    return f"has no object to learn from or to measure against: of {len(annotations):,} annotations none can be used"


def doubtful_categories(read: dict[str, Any]) -> Iterator[str]:
    """Name a category that stands above all others and has no object, as Roboflow's exports begin with one."""
    above = {category.get("supercategory") for category in read["categories"] if isinstance(category, dict)}
    used = Counter(annotation["category_id"] for annotation in read["annotations"])
    for category in read["categories"]:
        if category["name"] in above - {"none", None, ""} and not used[category["id"]] and len(read["categories"]) > 1:
            yield (
                f"category {category['id']} {category['name']!r} has no objects and stands above the others: it is no "
                "class, as in exports of Roboflow; remove it"
            )


def is_box(box: Any) -> bool:
    """Whether something is four finite numbers of pixels."""
    if not isinstance(box, list) or len(box) != 4 or not set(map(type, box)) <= {int, float}:
        return False
    return all(-FARTHEST <= side <= FARTHEST for side in box)  # No comparison with nan is true.


def cut(box: list[float], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """Turn COCO's left, top, width and height into left, top, right and bottom in the image; None if it is empty."""
    left, top, width, height = box
    right, bottom = min(left + width, size[0]), min(top + height, size[1])
    left, top = max(left, 0), max(top, 0)
    return (left, top, right, bottom) if right > left and bottom > top else None


def _of_record(annotation: Annotation, size: tuple[int, int] | None, categories: set[Id]) -> Mistake | None:
    """Check all of an annotation but its mask."""
    if size is None:
        return Mistake(f"is of image {shown(annotation['image_id'])}, which is not listed", Effect.REFUSED)
    if annotation["category_id"] not in categories:
        return Mistake(f"is of category {shown(annotation['category_id'])}, which is not listed", Effect.REFUSED)
    box = annotation["bbox"]
    if not is_box(box):
        text = f"has {shown(box)} for a box: a box that is not four numbers of pixels (left, top, width and height)"
        return Mistake(text, Effect.REFUSED)
    crowd = annotation.get("iscrowd", 0)
    if type(crowd) is not int or crowd not in (0, 1):
        return Mistake(f"has {shown(crowd)} for its iscrowd, which is 0 or 1", Effect.REFUSED)
    area = annotation.get("area", 0)
    if not (_is_number(area) and area >= 0):
        return Mistake(f"has {shown(area)} for its area, which is a number of pixels", Effect.REFUSED)
    left, top, width, height = box
    if width <= 0 or height <= 0:
        return Mistake("has a box without an inside", Effect.LEFT_OUT, "boxes without an inside")
    if cut(box, size) is None:
        return Mistake("has a box that leaves its image altogether", Effect.LEFT_OUT, "boxes outside their image")
    if min(left, top) < -BEYOND or left + width > size[0] + BEYOND or top + height > size[1] + BEYOND:
        return Mistake("has a box that leaves its image", Effect.CHANGED, "boxes that leave their image, and are cut")
    return None


def _of_mask(segmentation: Any, size: tuple[int, int], draw: bool) -> Mistake | None:
    """Check an annotation's mask."""
    width, height = size
    try:
        if not rle.has_pixels(segmentation, height, width, draw):
            return Mistake("has a mask without a pixel", Effect.LEFT_OUT, "masks without a pixel")
    except DataError as error:
        effect = Effect.LEFT_OUT if polygons.is_degenerate(segmentation) else Effect.REFUSED
        return Mistake(f"has a mask that is none: {error}", effect, "polygons of fewer than three corners")
    return None


def _cells_if_thin(segmentation: Any, size: tuple[int, int]) -> int:
    """Return how many cells drawing polygons takes that are so thin that no pixel may be inside, else 0."""
    try:
        return polygons.cells_to_draw(segmentation, size[1], size[0]) if isinstance(segmentation, list) else 0
    except DataError:
        return 0


def _of_all(annotations: list[Annotation], boxes: np.ndarray | None, ends: np.ndarray) -> Iterator[Mistake]:
    """Look at all sound boxes together: whether they mean something else, and which annotations are listed twice."""
    if boxes is None:
        places = [number for number, one in enumerate(annotations) if is_box(one["bbox"])]
        boxes = np.array([annotations[number]["bbox"] for number in places], np.float64).reshape(-1, 4)
    else:
        places = range(len(boxes))
    sound = (ends[places] > 0).all(axis=1) & (np.abs(boxes) <= FARTHEST).all(axis=1)
    if not sound.any():
        return
    if sound.all() and len(places) == len(annotations):
        known = annotations
    else:
        known = [annotations[places[number]] for number in np.flatnonzero(sound)]
        boxes, ends = boxes[sound], ends[places][sound]
    wrong = wrong_meaning(known, boxes, ends)
    if wrong:
        yield Mistake(wrong, Effect.REFUSED)
    elif doubtful := doubtful_meaning(boxes, ends):
        yield Mistake(doubtful, Effect.DOUBTED)
    pairs = listed_twice(known, np.column_stack([_numbered(known), boxes]))
    if pairs:
        yield Mistake(said_twice(known, pairs), Effect.DOUBTED)


def _numbered(annotations: list[Annotation]) -> np.ndarray:
    """Number images and categories, whose ids may be text: float64 ``(N, 2)``."""
    columns = []
    for key in ("image_id", "category_id"):
        number: dict[Id, int] = {}
        columns.append([number.setdefault(annotation[key], len(number)) for annotation in annotations])
    return np.array(columns, np.float64).T


def _too_many_pixels(read: dict[str, Any], sizes: dict[Id, tuple[int, int]]) -> Iterator[Mistake]:
    """Look for an image whose objects' masks would fill the memory."""
    counts = Counter(annotation["image_id"] for annotation in read["annotations"])
    for id_, count in counts.items():
        width, height = sizes.get(id_, (0, 0))
        if count * width * height > MOST_MASK_BYTES:
            text = f"image {shown(id_)} has {count:,} objects on {width:,} x {height:,} pixels, whose masks take "
            yield Mistake(f"{text}{count * width * height / 1e9:,.0f} GB; cut it into parts", Effect.REFUSED)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_AREA


__all__ = ["Effect", "Mistake", "cut", "doubtful_categories", "each_mistake", "is_box", "mistakes", "nothing_to_learn"]
