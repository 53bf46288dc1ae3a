"""Which detections are an object, image by image, so that COCO's average precision can be drawn anew over images.

COCO's own package adds everything up at once. Here matches are kept by image: a bootstrap weighs images, and adds up
again. With every image once, the figures are COCO's (the tests compare them).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vitrail.tasks.detection.average_precision import CocoResults
from vitrail.trust.intervals import AT_ONCE, RESAMPLES, Estimate, basic_estimate

OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Intersections over union from which on a detection is an object, as COCO counts."""

MOST_FOUND = 100
"""Detections of a class in an image that are counted, the surest ones."""

RECALLS = np.linspace(0.0, 1.0, 101)

FEWEST_RESAMPLES = 100

FEWEST_OBJECTS, FEWEST_EACH = 20, 50
"""Objects of a class from which its average precision has an interval, and objects of a class, on average, from which
the mean over the classes has one. Of fewer, average precision is too high by more than a resample can tell: in draws
from known distributions the intervals of the mean over ten classes of 20 objects held the truth in 67 % of cases, of
six classes of 50 in 88 %, of four of 100 in 90 %."""

MOST_WORK = 2e9
"""Numbers that a bootstrap adds up at most, which takes about half a minute: of more detections, images are drawn anew
fewer times."""


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """The detections of one class in all images, the surest first.

    Attributes:
        image: int64 ``(D,)``, the place of each detection's image among those measured.
        score: float64 ``(D,)``.
        hit: bool ``(10, D)``, whether it is an object at each of `OVERLAPS`.
        ignored: bool ``(10, D)``, whether it is a crowd, which counts neither way.
        objects: int64 ``(N,)``, how many objects of the class each image has, crowds not counted.
    """

    image: np.ndarray
    score: np.ndarray
    hit: np.ndarray
    ignored: np.ndarray
    objects: np.ndarray


def match_all(truth: dict[str, Any], results: CocoResults, evaluator: Any) -> list[ClassMatches]:
    """Match the detections of every class.

    Args:
        truth: the annotations, as COCO's JSON has them.
        results: what was found, in COCO's format.
        evaluator: COCO's, which has compared them, or None where nothing was found.
    """
    known, found = _by_place(truth["annotations"]), _by_place(results)
    images, matches = [one["id"] for one in truth["images"]], []
    for category in truth["categories"]:
        parts = []
        for number, image in enumerate(images):
            place = (image, category["id"])
            if found[place]:
                parts.append(_matched(number, known[place], found[place], evaluator.ious[place] if evaluator else []))
        objects = [sum(not one["iscrowd"] for one in known[image, category["id"]]) for image in images]
        matches.append(_joined(parts, np.array(objects, dtype=np.int64)))
    return matches


def _by_place(annotations: list[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    places: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for one in annotations:
        places[one["image_id"], one["category_id"]].append(one)
    return places


def _matched(image: int, known: list[Any], found: list[Any], overlaps: Any) -> ClassMatches:
    """Match the detections of a class in an image, given their intersections over union ``(D, G)``."""
    scores = -np.sort(-np.array([one["score"] for one in found]), kind="stable")[:MOST_FOUND]
    hit, ignored = (np.zeros((len(OVERLAPS), len(scores)), dtype=bool) for _ in range(2))
    if known and len(overlaps):
        crowd = [bool(one["iscrowd"]) for one in known]
        for place, least in enumerate(OVERLAPS):
            for number, which in enumerate(greedy(np.asarray(overlaps), crowd, least)):
                if which is not None:
                    (ignored if crowd[which] else hit)[place, number] = True
    return ClassMatches(np.full(len(scores), image), scores, hit, ignored, np.empty(0, dtype=np.int64))


def greedy(overlaps: np.ndarray, crowd: list[bool], least: float) -> Iterator[int | None]:
    """Give for each detection, the surest first, which object it is, or which crowd; None where it is none.

    Args:
        overlaps: ``(D, G)`` intersections over union of detections and objects.
        crowd: of each object, whether it is a crowd, which may be found any number of times.
        least: the overlap that makes a detection an object.
    """
    order = sorted(range(len(crowd)), key=lambda number: crowd[number])
    taken: set[int] = set()
    for row in overlaps:
        best, reached = None, min(least, 1 - 1e-10)
        for number in order:
            if number in taken and not crowd[number]:
                continue
            if best is not None and not crowd[best] and crowd[number]:
                break
            if row[number] >= reached:
                best, reached = number, row[number]
        if best is not None:
            taken.add(best)
        yield best


def _joined(parts: list[ClassMatches], objects: np.ndarray) -> ClassMatches:
    if not parts:
        empty = np.zeros((len(OVERLAPS), 0), dtype=bool)
        return ClassMatches(np.empty(0, dtype=np.int64), np.empty(0), empty, empty, objects)
    score = np.concatenate([one.score for one in parts])
    order = np.argsort(-score, kind="stable")
    image = np.concatenate([one.image for one in parts])[order]
    hit, ignored = (np.concatenate([getattr(one, name) for one in parts], axis=1) for name in ("hit", "ignored"))
    return ClassMatches(image, score[order], hit[:, order], ignored[:, order], objects)


def class_precision(one: ClassMatches, weights: np.ndarray) -> np.ndarray:
    """Return a class's average precision at each of `OVERLAPS`, with each image counted so often.

    Args:
        one: the class.
        weights: ``(R, N)``, how often each image counts, R times.

    Returns:
        ``(R, 10)`` in [0, 1]; nan where no counted image has an object of the class.
    """
    objects = (weights @ one.objects).astype(np.float64)[:, None]
    of_each = weights[:, one.image].astype(np.float64)
    figures = np.zeros((len(weights), len(OVERLAPS)))
    for place in range(len(OVERLAPS)):
        hits = np.flatnonzero(one.hit[place])
        if len(hits):
            right = np.cumsum(of_each[:, hits], axis=1)
            # Precision changes between hits too, but is highest at them, and the interpolation asks for no more.
            wrong = np.cumsum(of_each * ~(one.hit[place] | one.ignored[place]), axis=1)[:, hits]
            figures[:, place] = _interpolated(right, wrong, np.maximum(objects, 1))
    figures[objects[:, 0] == 0] = np.nan
    return figures


def _interpolated(right: np.ndarray, wrong: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Return the mean over 101 recalls of the highest precision at that recall or beyond, of each row: ``(R,)``."""
    precision = np.divide(right, right + wrong, out=np.zeros_like(right), where=right > 0)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = np.searchsorted(RECALLS, right / objects, side="right")  # so many of the recalls, at each hit
    return (best * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)


@dataclass(frozen=True)
class Precisions:
    """Average precision with 95 % intervals, by bootstrap over images.

    Attributes:
        ap, ap50, ap75: the mean over the classes.
        classes: AP of each class.
        resamples: how often the images were drawn anew; 0 where that would take too long, and there are no intervals.
    """

    ap: Estimate
    ap50: Estimate
    ap75: Estimate
    classes: tuple[Estimate, ...]
    resamples: int


def precisions_of(matches: list[ClassMatches], seed: int = 0) -> Precisions:
    """Return average precision with its intervals."""
    images = len(matches[0].objects)
    once = _means(matches, np.ones((1, images), dtype=np.int64))
    work = len(OVERLAPS) * sum(len(one.image) for one in matches) + 1
    resamples = min(RESAMPLES // 4, int(MOST_WORK / work))
    if resamples < FEWEST_RESAMPLES or images < 2:
        plain = [Estimate(_or_none(value)) for value in once[:, 0]]
        return _precisions(plain, 0)
    random, rows = np.random.RandomState(seed), max(1, AT_ONCE // max(1, *(len(one.image) for one in matches)))
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    drawn = [_means(matches, random.multinomial(images, np.full(images, 1 / images), size)) for size in sizes]
    pairs = zip(once[:, 0], np.concatenate(drawn, axis=1), strict=True)
    found = [Estimate(None) if np.isnan(value) else basic_estimate(float(value), row) for value, row in pairs]
    return _where_known(_precisions(found, resamples), matches)


def _precisions(found: list[Estimate], resamples: int) -> Precisions:
    """Put together what was found: the three means over the classes, then each class."""
    ap, ap50, ap75, *classes = found
    return Precisions(ap, ap50, ap75, tuple(classes), resamples)


def _where_known(found: Precisions, matches: list[ClassMatches]) -> Precisions:
    """Take intervals away where there are too few objects: average precision is too high by more than they tell."""
    objects = [int(one.objects.sum()) for one in matches]
    pairs = zip(found.classes, objects, strict=True)
    classes = tuple(one if count >= FEWEST_OBJECTS else Estimate(one.value) for one, count in pairs)
    if sum(objects) >= FEWEST_EACH * np.count_nonzero(objects):
        return replace(found, classes=classes)
    means = {name: Estimate(getattr(found, name).value) for name in ("ap", "ap50", "ap75")}
    return replace(found, classes=classes, **means)


def _means(matches: list[ClassMatches], weights: np.ndarray) -> np.ndarray:
    """Return AP, AP50 and AP75, means over the classes that are there, and below them AP of each: ``(3 + K, R)``."""
    of_classes = np.stack([class_precision(one, weights) for one in matches])  # (K, R, 10)
    there = ~np.isnan(of_classes[:, :, :1])
    counted = np.maximum(there.sum(axis=0), 1)
    means = np.where(there.any(axis=0), np.where(there, of_classes, 0.0).sum(axis=0) / counted, np.nan)  # (R, 10)
    headlines = (means.mean(axis=1), means[:, 0], means[:, OVERLAPS.index(0.75)])
    return np.stack([*headlines, *of_classes.mean(axis=2)])


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


__all__ = [
    "OVERLAPS",
    "ClassMatches",
    "Precisions",
    "class_precision",
    "greedy",
    "match_all",
    "precisions_of",
]
