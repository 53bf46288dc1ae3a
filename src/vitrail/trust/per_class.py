"""What a classifier is worth for each of its classes: precision, recall, F1, and the area under the ROC curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from vitrail.trust.intervals import (
    Estimate,
    Z,
    basic_estimate,
    counts_estimate,
    percentile_estimate,
    share_estimate,
    wilson,
)

AVERAGED = ("mean_class", "precision", "f1")
"""Figures whose mean over the classes is taken: recall (also called balanced accuracy), precision, and F1."""


FEWEST_EACH = 5
"""Images of a class, on average, from which means of precision and F1 over the classes have intervals."""


@dataclass(frozen=True)
class ClassFigures:
    """What a classifier is worth for one class, against all others.

    Attributes:
        name: of the class.
        images: how many are of it.
        said: how many are called it.
        recall: share of its images that are called it, with Wilson's interval; None without images.
        precision: share of the images called it that are of it, with Wilson's interval; None where none is.
        f1: harmonic mean of the two: ``2 h / (2 h + e)`` of h hits and e images that are either wrongly called it or of
            it and called something else; None where neither is.
        auroc: how often an image of it has a higher probability of it than one of another class, ties counted half;
            None without images of it, or of another class.
    """

    name: str
    images: int
    said: int
    recall: Estimate
    precision: Estimate
    f1: Estimate
    auroc: Estimate


def class_figures(
    names: tuple[str, ...], confusion: np.ndarray, areas: tuple[Estimate, ...]
) -> tuple[ClassFigures, ...]:
    """Return the figures of each class.

    Args:
        names: of the K classes.
        confusion: ``(K, K)`` whole numbers: images of class i called class j.
        areas: for each class the area under its ROC curve.
    """
    hits, images, said = (one.tolist() for one in _margins(confusion))
    rows = zip(names, hits, images, said, areas, strict=True)
    return tuple(
        ClassFigures(name, own, called, share_estimate(h, own), share_estimate(h, called), f1_of(h, own, called), area)
        for name, h, own, called, area in rows
    )


def f1_of(hits: int, images: int, said: int) -> Estimate:
    """Return F1 with its interval.

    Of the images that are of the class or called it, the share s that are both makes F1 = 2 s / (1 + s), which rises
    with s: the ends of Wilson's interval of s are those of F1.
    """
    either = images + said - hits
    if not either:
        return Estimate(None)
    ends = (2 * share / (1 + share) for share in wilson(hits / either, either))
    value, (low, high) = 2 * hits / (images + said), ends
    return Estimate(value, min(low, value), max(high, value))


def averages(confusion: np.ndarray, seed: int = 0) -> dict[str, Estimate]:
    """Return the mean over the classes of recall, precision and F1, by the names in `AVERAGED`.

    Intervals are by bootstrap over images. Recall is averaged over the classes that have images, precision and F1 over
    those that have images or are named. As in scikit-learn, precision is 0 of a class that is never named. Where
    classes have fewer than `FEWEST_EACH` images on average, precision and F1 are too low by more than a resample can
    tell, and have no interval.

    Args:
        confusion: ``(K, K)`` whole numbers: images of class i called class j.
        seed: of the bootstrap.
    """
    rows, columns = np.nonzero(confusion)
    counts, classes = confusion[rows, columns], len(confusion)
    cells = np.arange(len(rows))
    of_label, of_answer = (
        sparse.csr_matrix((np.ones(len(rows)), (cells, where)), shape=(len(rows), classes)) for where in (rows, columns)
    )
    right = sparse.csr_matrix(((rows == columns).astype(float), (cells, rows)), shape=(len(rows), classes))

    def mean_of(name: str, drawn: np.ndarray) -> np.ndarray:
        return _mean_over_classes(name, drawn @ right, drawn @ of_label, drawn @ of_answer)

    found = {}
    for name in AVERAGED:
        interval = percentile_estimate if name == "mean_class" else basic_estimate
        found[name] = counts_estimate(counts, lambda drawn, n=name: mean_of(n, drawn), seed, interval)
    if counts.sum() < FEWEST_EACH * len(np.unique(rows)):
        found |= {name: Estimate(found[name].value) for name in ("precision", "f1")}
    return found


def _mean_over_classes(name: str, hits: np.ndarray, images: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Return a mean over the classes that are there, of tables ``(R, K)``: ``(R,)``."""
    below = {"mean_class": images, "precision": said, "f1": (images + said) / 2}[name]
    there = images > 0 if name == "mean_class" else images + said > 0
    shares = np.divide(hits, below, out=np.zeros_like(hits), where=below > 0)
    return np.where(there, shares, 0.0).sum(axis=1) / there.sum(axis=1)


def areas_under_roc(scores: np.ndarray, labels: np.ndarray) -> tuple[tuple[Estimate, ...], Estimate]:
    """Return the area under each class's ROC curve, one class against the rest, and their mean over the classes.

    Intervals follow DeLong et al. (1988): what each image adds to an area varies from image to image, and the variance
    of a mean of areas is that of the mean of these parts. They are taken on the scale of the log odds, where they stay
    within [0, 1]; there is none where a class has one image, or where every pair is in order.

    Args:
        scores: ``(N, K)``, of any scale that orders images by how much they look like the class.
        labels: ``(N,)``, in 0 .. K - 1.
    """
    total, classes = scores.shape
    areas, mean_parts, measured = [], np.zeros(total), 0
    known = True
    for number in range(classes):
        own = labels == number
        if not own.any() or own.all():
            areas.append(Estimate(None))
            continue
        area, parts = _area(np.ascontiguousarray(scores[:, number]), own)
        few = min(int(own.sum()), int(total - own.sum())) < 2
        areas.append(Estimate(area) if few else _within_limits(area, float((parts**2).sum())))
        known, measured = known and not few, measured + 1
        mean_parts += parts
    if not measured:
        return tuple(areas), Estimate(None)
    mean = math.fsum(one.value for one in areas if one.value is not None) / measured
    return tuple(areas), _within_limits(mean, float(((mean_parts / measured) ** 2).sum())) if known else Estimate(mean)


def _area(scores: np.ndarray, own: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the area, and for each image how far it moves it, ``(N,)``: the squares add up to DeLong's variance."""
    ours, others = np.sort(scores[own]), scores[~own]
    # Only our few are sorted: of each other image, how many of ours lie below it, and how many not above it.
    under, up_to = (np.searchsorted(ours, others, side=side) for side in ("left", "right"))
    below_ours, not_above = (np.bincount(places, minlength=len(ours) + 1).cumsum()[:-1] for places in (up_to, under))
    above = (below_ours + not_above) / (2 * len(others))  # share of the others that each of ours lies above
    below = 1 - (under + up_to) / (2 * len(ours))  # share of ours that lie above each of the others
    area = float(above.mean())
    parts = np.empty(len(scores))
    parts[np.flatnonzero(own)[np.argsort(scores[own], kind="stable")]] = _spread(above - area)
    parts[~own] = _spread(below - area)
    return area, parts


def _spread(deviations: np.ndarray) -> np.ndarray:
    count = len(deviations)
    return deviations / math.sqrt(count * max(count - 1, 1))


def _within_limits(area: float, variance: float) -> Estimate:
    """Return an area with the interval that is even on the scale of its log odds."""
    if not 0 < area < 1 or variance <= 0:
        return Estimate(area)
    odds, reach = math.log(area / (1 - area)), Z * math.sqrt(variance) / (area * (1 - area))
    return Estimate(area, _share(odds - reach), _share(odds + reach))


def _share(log_odds: float) -> float:
    """Return the share of which these are the log odds, however far they lie."""
    return 1 / (1 + math.exp(-log_odds)) if log_odds > 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


def _margins(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)


@dataclass(frozen=True)
class Mistake:
    """Images of one class that are called another.

    Attributes:
        label: their class.
        said: what they are called.
        images: how many.
        share: of all images of the class, in (0, 1].
    """

    label: str
    said: str
    images: int
    share: float


def largest_confusions(names: tuple[str, ...], confusion: np.ndarray, most: int = 10) -> tuple[Mistake, ...]:
    """Return the most frequent mistakes, by images and then by their share of the class.

    Args:
        names: of the K classes.
        confusion: ``(K, K)`` whole numbers: images of class i called class j.
        most: how many.
    """
    sizes = confusion.sum(axis=1)
    rows, columns = np.nonzero(confusion)
    wrong = [(int(confusion[i, j]), int(i), int(j)) for i, j in zip(rows, columns, strict=True) if i != j]
    wrong.sort(key=lambda one: (-one[0], -one[0] / sizes[one[1]], one[1], one[2]))
    return tuple(Mistake(names[i], names[j], count, count / int(sizes[i])) for count, i, j in wrong[:most])


__all__ = [
    "AVERAGED",
    "ClassFigures",
    "Mistake",
    "areas_under_roc",
    "averages",
    "class_figures",
    "f1_of",
    "largest_confusions",
]
