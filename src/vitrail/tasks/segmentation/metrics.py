"""How much of the pixels a segmenter gets right, and how well that is known, as the commands show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vitrail.console import figure, percent
from vitrail.data.sources import Images
from vitrail.output import say, say_table
from vitrail.tasks.class_tables import in_brackets
from vitrail.tasks.left_out import say_measured
from vitrail.tasks.segmentation.study import SIZES, Study, average_precision, precision_recall
from vitrail.tasks.segmentation.words import (
    CLASS_COLUMNS,
    CONFUSION_COLUMNS,
    class_rows,
    confusion_rows,
    sentences,
)
from vitrail.training.measure import mean_of_ratios
from vitrail.trust.intervals import FEWEST, RESAMPLES, Estimate, basic_estimate, percentile_estimate

MOST_IMAGES, MOST_CONFUSIONS = 8, 10
"""Images that are kept by name and drawn, and confusions that are kept."""


@dataclass(frozen=True)
class SegmentedClass:
    """What a segmenter is worth for one class.

    Attributes:
        name: of the class.
        pixels: how many are of it.
        iou: intersection over union, with its interval; None where it is neither there nor found.
        found: share of its pixels that is found, with its interval; None without pixels.
        precision: share of the pixels called it that are it; None without any.
        average_precision: area under precision over recall, as pixels are called it at ever lower probabilities.
        found_by_size: share of its pixels that is found in small, medium and large regions; None without any.
    """

    name: str
    pixels: int
    iou: Estimate
    found: Estimate
    precision: float | None
    average_precision: float | None
    found_by_size: Mapping[str, float | None]


@dataclass(frozen=True)
class PixelConfusion:
    """Pixels of one class that are called another.

    Attributes:
        label: their class.
        said: what they are called.
        pixels: how many.
        share: of all pixels of the class, in (0, 1].
    """

    label: str
    said: str
    pixels: int
    share: float


@dataclass(frozen=True)
class WrongImage:
    """An image of which much is wrong.

    Attributes:
        file: the image.
        right: share of its pixels that is right.
        label, said: its most frequent mistake: pixels of the one are called the other.
        share: of all its pixels, those of this mistake.
    """

    file: str
    right: float
    label: str
    said: str
    share: float


@dataclass(frozen=True)
class SegmentEvaluation:
    """What a segmenter gets right, over the pixels that are not void.

    Attributes:
        split: the images measured on.
        images: how many they are.
        mean_iou: mean over the classes of intersection over union; classes neither there nor found are left out.
        pixel_accuracy: share of the pixels whose class is right.
        mean_accuracy: mean over the classes of the share of their pixels that is found.
        loss: mean cross-entropy of a pixel, in nats.
        classes: for each class its name, its pixels, its intersection over union, and the share of its pixels that is
            found; None where there is nothing to divide by.
        damaged: files that could not be read and were left out.
        notes: what else is to be known of the figures, and of which images were measured.
        estimates: ``mean_iou``, ``pixel_accuracy``, ``mean_accuracy`` and ``loss`` with 95 % intervals by bootstrap
            over images: pixels of one image are no independent trials.
        per_class: figures of each class, by the size of its regions too.
        found_by_size: share of the pixels that is right in regions of one class that hang together: small ones below
            32^2 pixels, medium ones up to 96^2, and large ones; None without any.
        confusions: the ten most frequent mistakes.
        worst_images: those with the smallest share of right pixels, at most 8.
        curves: by class precision and recall as pixels are called it at ever lower probabilities, from 0.99 to 0.
        table: ``table[i][j]`` pixels of class i called class j.
    """

    split: str
    images: int
    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    loss: float
    classes: tuple[tuple[str, int, float | None, float | None], ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    per_class: tuple[SegmentedClass, ...] = ()
    found_by_size: Mapping[str, float | None] = field(default_factory=dict)
    confusions: tuple[PixelConfusion, ...] = ()
    worst_images: tuple[WrongImage, ...] = ()
    curves: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)
    table: tuple[tuple[int, ...], ...] = ()

    def say(self, all_classes: bool = False) -> None:
        """Print tables, what else is known, and a closing line.

        Args:
            all_classes: show every class, and of many not only the worst and the best.
        """
        say_measured(self.damaged, self.images, self.notes)
        rows, left_out = class_rows(self.per_class, all_classes)
        say_table("", CLASS_COLUMNS, rows)
        for sentence in left_out:
            say(sentence)
        if self.confusions:
            say_table("", CONFUSION_COLUMNS, confusion_rows(self.confusions))
        for sentence in sentences(self):
            say(sentence)
        say(
            f"{self.split}: {self.images:,} images, mean IoU {percent(self.mean_iou)}"
            f"{in_brackets(self.estimates.get('mean_iou'), '95 % interval ')}, "
            f"pixel accuracy {percent(self.pixel_accuracy)}, mean accuracy {percent(self.mean_accuracy)}, "
            f"loss {figure('loss', self.loss)}"
        )


def summarise(
    split: str,
    images: Images,
    totals: dict[str, tuple[list[float], list[float]]],
    study: Study,
    class_names: tuple[str, ...],
    damaged: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> SegmentEvaluation:
    """Make the figures of an evaluation.

    Args:
        split: the images measured on.
        images: the data set.
        totals: sums and counts of `Segmentation.measure`.
        study: what was kept of each image.
        class_names: of the model.
        damaged: files that could not be read.
        notes: what must be known.
    """
    ious, found = (_ratios(*totals[name]) for name in ("mean_iou", "mean_accuracy"))
    pixels = [int(count) for count in totals["mean_accuracy"][1]]
    plain = {name: mean_of_ratios(*pair) for name, pair in totals.items()}
    known = estimates_of(study)
    curves = {name: _curve(sure) for name, sure in zip(class_names, study.sure, strict=True) if sure[1].any()}
    return SegmentEvaluation(
        split=split,
        images=len(images) - len(damaged),
        classes=tuple(zip(class_names, pixels, ious, found, strict=True)),
        damaged=damaged,
        notes=notes,
        estimates={name: _of(one, plain[name]) for name, one in known.items() if name in plain},
        per_class=_classes(class_names, study, known),
        found_by_size=_by_size(study.regions.sum(axis=0)),
        confusions=_confusions(class_names, study.table),
        worst_images=_worst(images, class_names, study),
        curves=curves,
        table=tuple(tuple(row) for row in study.table.tolist()),
        **plain,
    )


def estimates_of(study: Study, seed: int = 0) -> dict[str, Estimate]:
    """Return the figures with intervals, by bootstrap over images; of class k as ``iou k`` and ``found k``."""
    right, union, are = (np.stack(rows).astype(np.float64) for rows in (study.right, study.union, study.are))
    losses, images = np.array(study.losses), len(study.numbers)

    def all_of(weights: np.ndarray) -> dict[str, np.ndarray]:
        hits, either, own = weights @ right, weights @ union, weights @ are
        iou, found, counted = _share(hits, either), _share(hits, own), own.sum(axis=1)
        figures = {"mean_iou": _mean(iou), "mean_accuracy": _mean(found)}
        figures |= {"pixel_accuracy": _share(hits.sum(axis=1), counted), "loss": _share(weights @ losses, counted)}
        for k in range(right.shape[1]):
            figures |= {f"iou {k}": iou[:, k], f"found {k}": found[:, k]}
        return figures

    random = np.random.RandomState(seed)
    once = all_of(np.ones((1, images)))
    drawn = all_of(random.multinomial(images, np.full(images, 1 / images), RESAMPLES).astype(np.float64))
    return {name: _estimate(name, float(value[0]), drawn[name], images) for name, value in once.items()}


def _estimate(name: str, value: float, drawn: np.ndarray, images: int) -> Estimate:
    """Return a figure with its interval; of few images there is none.

    Means over the classes are too high on average where a class is in few of the images, which the basic interval takes
    out.
    """
    if np.isnan(value) or images < FEWEST:
        return Estimate(None if np.isnan(value) else value)
    return basic_estimate(value, drawn) if name in OVER_CLASSES else percentile_estimate(value, drawn)


OVER_CLASSES = ("mean_iou", "mean_accuracy")


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(shares: np.ndarray) -> np.ndarray:
    """Return the mean of each row over what is a number; nan where nothing is."""
    there = ~np.isnan(shares)
    total = np.where(there, shares, 0.0).sum(axis=1)
    return _share(total, there.sum(axis=1).astype(np.float64))


def _curve(sure: np.ndarray) -> dict[str, tuple[float, ...]]:
    precision, recall = precision_recall(sure)
    return {"precision": tuple(precision.tolist()), "recall": tuple(recall.tolist())}


def _classes(names: tuple[str, ...], study: Study, known: Mapping[str, Estimate]) -> tuple[SegmentedClass, ...]:
    called = study.table.sum(axis=0)
    return tuple(
        SegmentedClass(
            name,
            int(study.table[k].sum()),
            known[f"iou {k}"],
            known[f"found {k}"],
            float(study.table[k, k] / called[k]) if called[k] else None,
            average_precision(study.sure[k]),
            _by_size(study.regions[k]),
        )
        for k, name in enumerate(names)
    )


def _by_size(regions: np.ndarray) -> dict[str, float | None]:
    """Return the share of right pixels by the size of regions, from ``(3, 2)`` pixels and those that are right."""
    return {name: float(right / own) if own else None for name, (own, right) in zip(SIZES, regions, strict=True)}


def _confusions(names: tuple[str, ...], table: np.ndarray) -> tuple[PixelConfusion, ...]:
    sizes = table.sum(axis=1)
    wrong = table * (1 - np.eye(len(table), dtype=np.int64))
    cells = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    pairs = [divmod(int(cell), len(table)) for cell in cells]
    return tuple(
        PixelConfusion(names[i], names[j], int(wrong[i, j]), float(wrong[i, j] / sizes[i]))
        for i, j in pairs
        if wrong[i, j]
    )


def _worst(images: Images, names: tuple[str, ...], study: Study) -> tuple[WrongImage, ...]:
    """Return the images of which the smallest share is right; those that are void all over have none."""
    sizes = [int(own.sum()) for own in study.are]
    shares = [right.sum() / own if own else 1.0 for right, own in zip(study.right, sizes, strict=True)]
    order = [place for place in np.argsort(shares, kind="stable").tolist() if shares[place] < 1][:MOST_IMAGES]
    found = []
    for place in order:
        count, label, said = study.mistakes[place]
        share = count / sizes[place]
        file = images.names[study.numbers[place]]
        found.append(WrongImage(file, float(shares[place]), names[label], names[said], share))
    return tuple(found)


def _of(estimate: Estimate, value: float) -> Estimate:
    """Return an estimate of exactly the value that was added up over all images."""
    return Estimate(None if value != value else value, estimate.low, estimate.high)


def _ratios(sums: Iterable[float], counts: Iterable[float]) -> list[float | None]:
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]
