"""What all boxes of a file tell together: their unit, whether their numbers are corners, and which are listed twice.

There are millions of annotations, and numpy looks at all of them at once.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from vitrail.data.coco_file import shown

BEYOND = 1.0
"""Boxes may leave their image by so many pixels unsaid: tools round differently."""
FEWEST_AS_CORNERS = 3
"""So many boxes must speak for it before their numbers are taken for left, top, right and bottom."""
ENOUGH_TO_RISE = 100_000
"""So many boxes, taken evenly from all, tell whether their numbers rise together; sorting millions takes seconds."""
FEWEST_TO_RISE = 8
CLEARLY = 4.0
"""Of so many different boxes a correlation counts, from so many standard errors above 0 on (Fisher's z)."""
ALMOST_ONE = 1 - 1e-12
NEARLY = 0.02
"""Areas and sides that differ by this share, and a pixel, are the same: tools round differently."""
LOOKED_AT = 1000
"""So many polygons are compared with their boxes."""


def plain_boxes(annotations: list[dict[str, Any]]) -> np.ndarray | None:
    """Return all boxes as float64 ``(N, 4)``; None where one is no list of four numbers."""
    boxes = [annotation["bbox"] for annotation in annotations]
    if not boxes or not set(map(type, boxes)) <= {list} or set(map(len, boxes)) != {4}:
        return None
    if not set(map(type, itertools.chain.from_iterable(boxes))) <= {int, float}:
        return None
    try:
        numbers = np.fromiter(itertools.chain.from_iterable(boxes), np.float64, 4 * len(boxes))
    except OverflowError:
        return None
    return numbers.reshape(-1, 4)


def wrong_meaning(annotations: list[dict[str, Any]], boxes: np.ndarray, ends: np.ndarray) -> str:
    """Say that boxes must mean something else than left, top, width and height in pixels; "" where they need not.

    Args:
        annotations: those of the boxes, N of them.
        boxes: their numbers, finite, float64 ``(N, 4)``.
        ends: width and height of their images, float64 ``(N, 2)``.
    """
    if boxes.min() >= 0 and boxes.max() <= 1 and (boxes % 1).any():
        return f"all {len(boxes):,} boxes lie within 0 to 1: they look normalised, and COCO counts pixels"
    if not _may_be_corners(boxes, ends):
        return ""
    leaving = int((boxes[:, :2] + boxes[:, 2:] > ends + BEYOND).any(axis=1).sum())
    if leaving >= FEWEST_AS_CORNERS and 2 * leaving >= len(boxes):
        return (
            f"{leaving:,} of {len(boxes):,} boxes leave their image, and none would if its numbers were left, top, "
            f"right and bottom; {_COCO_HAS}"
        )
    for what, stated in (
        ("areas", _stated_areas(annotations, boxes)),
        ("polygons", _stated_extents(annotations, boxes)),
    ):
        if _are_between_corners(*stated):
            return f"the boxes fit their {what} if their numbers are left, top, right and bottom; {_COCO_HAS}"
    return ""


def doubtful_meaning(boxes: np.ndarray, ends: np.ndarray) -> str:
    """Say that boxes look as if their numbers were corners, where nothing proves it; "" where they do not.

    Of boxes in COCO's form those further to the right are, if anything, narrower: no box ends beyond its image. Where
    every third number is above the first, every fourth above the second, and both rise with them, they are corners.
    """
    if not _may_be_corners(boxes, ends):
        return ""
    some = slice(None, None, -(-len(boxes) // ENOUGH_TO_RISE))
    shares = np.unique(boxes[some] / np.tile(ends[some], 2), axis=0)
    left, top, right, bottom = shares.T
    if len(shares) < FEWEST_TO_RISE or min(_rise(left, right), _rise(top, bottom)) < CLEARLY:
        return ""
    return (
        f"the numbers of all {len(boxes):,} boxes look like left, top, right and bottom: the third is always above the "
        f"first and rises with it, as the fourth does with the second; {_COCO_HAS}"
    )


def listed_twice(annotations: list[dict[str, Any]], rows: np.ndarray) -> list[tuple[int, int]]:
    """Return the places of annotations that repeat an earlier one, each behind the place of that one.

    Args:
        annotations: N of them.
        rows: float64 ``(N, K)``, the numbers in which two must be alike; crowd and mask are compared too.
    """
    order = np.lexsort(rows.T)
    same = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    runs = np.cumsum(np.concatenate([[0], ~same]))
    repeated = np.flatnonzero(np.concatenate([[False], same]) | np.concatenate([same, [False]]))
    first: dict[tuple[int, str], int] = {}
    pairs = []
    for place, run in sorted(zip(order[repeated].tolist(), runs[repeated].tolist(), strict=True)):
        one = annotations[place]
        earlier = first.setdefault((run, repr([one.get("iscrowd", 0), one.get("segmentation")])), place)
        if earlier != place:
            pairs.append((earlier, place))
    return pairs


def said_twice(annotations: list[dict[str, Any]], pairs: list[tuple[int, int]]) -> str:
    """Say how many annotations are listed twice, and name the first."""
    first, second = (shown(annotations[place].get("id")) for place in min(pairs))
    these = "1 annotation is" if len(pairs) == 1 else f"{len(pairs):,} annotations are"
    return (
        f"{these} listed twice, alike in image, class, box and mask, and every listing counts as an object of its own; "
        f"the first such pair: annotations {first} and {second}"
    )


_COCO_HAS = "COCO's are left, top, width and height"


def _may_be_corners(boxes: np.ndarray, ends: np.ndarray) -> bool:
    """Whether all boxes would be sound if their numbers were corners."""
    inside = (boxes[:, 2:] > boxes[:, :2]) & (boxes[:, 2:] <= ends + BEYOND)
    return len(boxes) >= FEWEST_AS_CORNERS and bool(inside.all())


Sides = tuple[np.ndarray, np.ndarray, np.ndarray]
"""What is stated of some boxes, and what it would be were their numbers corners, or sides; each ``(n, k)``."""


def _stated_areas(annotations: list[dict[str, Any]], boxes: np.ndarray) -> Sides:
    """Gather the areas: those of boxes are their width times their height; those of masks are less and tell nothing."""
    areas = np.array([a if type(a := one.get("area")) in (int, float) else 0 for one in annotations], np.float64)
    stated = np.flatnonzero(areas > 0)
    chosen = boxes[stated]
    between, sides = chosen[:, 2:] - chosen[:, :2], chosen[:, 2:]
    return areas[stated][:, None], between.prod(axis=1)[:, None], sides.prod(axis=1)[:, None]


def _stated_extents(annotations: list[dict[str, Any]], boxes: np.ndarray) -> Sides:
    """Gather the widths and heights of the first polygons."""
    with_polygons = (place for place, one in enumerate(annotations) if _is_polygons(one.get("segmentation")))
    places = list(itertools.islice(with_polygons, LOOKED_AT))
    stated = np.array([_extent(annotations[place]["segmentation"]) for place in places], np.float64).reshape(-1, 2)
    chosen = boxes[places]
    return stated, chosen[:, 2:] - chosen[:, :2], chosen[:, 2:]


def _are_between_corners(stated: np.ndarray, between: np.ndarray, sides: np.ndarray) -> bool:
    return len(stated) >= FEWEST_AS_CORNERS and _fits(between, stated) and not _fits(sides, stated)


def _fits(found: np.ndarray, stated: np.ndarray) -> bool:
    """Whether nine of ten are nearly as stated."""
    close = np.abs(found - stated) <= NEARLY * stated + BEYOND
    return bool(np.mean(close.all(axis=1)) >= 0.9)


def _is_polygons(segmentation: Any) -> bool:
    if not isinstance(segmentation, list) or not segmentation:
        return False
    return all(isinstance(p, list) and len(p) > 3 and set(map(type, p)) <= {int, float} for p in segmentation)


def _extent(segmentation: list[list[float]]) -> tuple[float, float]:
    x, y = ([value for polygon in segmentation for value in polygon[start::2]] for start in (0, 1))
    return max(x) - min(x), max(y) - min(y)


def _rise(low: np.ndarray, high: np.ndarray) -> float:
    """Return by how many standard errors two numbers rise with one another, by Fisher's z; 0 where one is constant."""
    if not low.std() or not high.std():
        return 0.0
    correlation = float(np.clip(np.corrcoef(low, high)[0, 1], -ALMOST_ONE, ALMOST_ONE))
    return math.atanh(correlation) * math.sqrt(len(low) - 3)


__all__ = ["BEYOND", "doubtful_meaning", "listed_twice", "plain_boxes", "said_twice", "wrong_meaning"]
