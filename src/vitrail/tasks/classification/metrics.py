"""What a classifier gets right, as the commands show it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vitrail.console import figure, percent
from vitrail.data.sources import Images
from vitrail.output import say, say_table
from vitrail.tasks.class_tables import in_brackets
from vitrail.tasks.classification.evaluation.abstaining import Abstaining
from vitrail.tasks.classification.evaluation.answers import TOP, Answers
from vitrail.tasks.classification.evaluation.found import Comparison, Wrong
from vitrail.tasks.classification.evaluation.temperature import EvaluatedCalibration
from vitrail.tasks.classification.evaluation.words import (
    CLASS_COLUMNS,
    MISTAKE_COLUMNS,
    class_rows,
    mistake_rows,
    sentences,
)
from vitrail.tasks.left_out import say_measured
from vitrail.trust.intervals import Estimate, mean_estimate, share_estimate
from vitrail.trust.per_class import ClassFigures, Mistake, areas_under_roc, averages, class_figures, largest_confusions
from vitrail.trust.quantiles import Part, by_quantile

MOST_ERRORS = 24
"""Errors that are kept by name, and drawn."""


@dataclass(frozen=True)
class Evaluation:
    """What a classifier gets right.

    Attributes:
        split: the images measured on.
        images: how many they are.
        top1: share whose best-scored class is right.
        top5: share whose right class is among the best five; None with five classes or fewer.
        mean_class: mean over the classes of the share that is right, so that small classes count as much.
        loss: mean cross-entropy, in nats.
        classes: for each class its name, its images, and the share of them that is right; None without images.
        confusion: ``confusion[i][j]`` images of class i called class j.
        damaged: files that could not be read and were left out.
        notes: which images were measured, where that is not plain.
        normalization: how the input was normalised, as ``--normalization`` names it.
        estimates: figures with their 95 % intervals, by name: ``top1`` and ``top5`` (Wilson's), ``mean_class``,
            ``precision``, ``f1`` and ``loss`` (bootstrap over images; the first three are means over the classes), and
            ``auroc`` (the mean over the classes of the area under the ROC curve; DeLong's variance).
        per_class: precision, recall, F1 and area under the ROC curve of each class, with intervals.
        confusions: the ten most frequent mistakes.
        calibration: whether probabilities agree with how often the model is right, before and after a temperature.
        abstaining: how it does where it may be unsure; None where nothing is known of when it can be believed.
        by_size: accuracy by the square root of the image's area in pixels, in quantiles; empty where images are too few
            or of one size.
        by_brightness: the same by the mean brightness of what the model is shown, from 0 for black to 1 for white.
        surest_errors: images that are wrong with the highest probability, at most 24, the surest first.
        comparison: beside another model; None where none was named.
        files: the images that were read, by name; not part of the JSON.
        answers: what was answered to each of them, as arrays; not part of the JSON.
    """

    split: str
    images: int
    top1: float
    top5: float | None
    mean_class: float
    loss: float
    classes: tuple[tuple[str, int, float | None], ...]
    confusion: tuple[tuple[int, ...], ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()
    normalization: str = ""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    per_class: tuple[ClassFigures, ...] = ()
    confusions: tuple[Mistake, ...] = ()
    calibration: EvaluatedCalibration | None = None
    abstaining: Abstaining | None = None
    by_size: tuple[Part, ...] = ()
    by_brightness: tuple[Part, ...] = ()
    surest_errors: tuple[Wrong, ...] = ()
    comparison: Comparison | None = None
    files: tuple[str, ...] = field(default=(), repr=False, metadata={"json": False})
    answers: Answers | None = field(default=None, repr=False, compare=False, metadata={"json": False})

    @property
    def right(self) -> int:
        """Images whose best-scored class is right."""
        return sum(row[number] for number, row in enumerate(self.confusion))

    def say(self, all_classes: bool = False) -> None:
        """Print tables, what is known beside accuracy, and a closing line.

        Args:
            all_classes: show every class, and of many not only the worst and the best.
        """
        say_measured(self.damaged, self.images, self.notes)
        rows, left_out = class_rows(self.per_class, all_classes)
        say_table("", CLASS_COLUMNS, rows)
        for sentence in left_out:
            say(sentence)
        if self.confusions:
            say_table("", MISTAKE_COLUMNS, mistake_rows(self.confusions))
        for sentence in sentences(self):
            say(sentence)
        top5 = "" if self.top5 is None else f", top-5 {percent(self.top5)}"
        say(
            f"{self.split}: {self.right:,} of {self.images:,} images right, top-1 {percent(self.top1)}"
            f"{in_brackets(self.estimates.get('top1'), '95 % interval ')}{top5}, "
            f"mean over classes {percent(self.mean_class)}, loss {figure('loss', self.loss)}, "
            f"normalization {self.normalization}"
        )


def summarise(split: str, answers: Answers, images: Images, class_names: tuple[str, ...]) -> Evaluation:
    """Make the figures of an evaluation from the answers to one image or more.

    Args:
        split: the images measured on.
        answers: to them.
        images: the data set.
        class_names: of the model.
    """
    total, confusion = len(answers), answers.confusion(len(class_names))
    right, sizes = confusion.diagonal().tolist(), confusion.sum(axis=1).tolist()
    shares = [hits / size if size else None for hits, size in zip(right, sizes, strict=True)]
    there = [share for share in shares if share is not None]
    found = Evaluation(
        split=split,
        images=total,
        top1=sum(right) / total,
        top5=answers.among_best() / total if len(class_names) > TOP else None,
        mean_class=math.fsum(there) / len(there),
        # Whatever the order of the images, and however they were shared out.
        loss=math.fsum(answers.losses.tolist()) / total,
        classes=tuple(zip(class_names, sizes, shares, strict=True)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        damaged=(),
        confusions=largest_confusions(class_names, confusion),
        by_size=by_quantile(answers.side, answers.right),
        by_brightness=by_quantile(answers.brightness, answers.right),
        surest_errors=surest_errors(answers, images, class_names),
        files=tuple(images.names[number] for number in answers.numbers.tolist()),
        answers=answers,
    )
    return _with_estimates(found, answers, class_names, confusion)


def _with_estimates(
    found: Evaluation, answers: Answers, class_names: tuple[str, ...], confusion: np.ndarray
) -> Evaluation:
    """Add intervals, and the figures of each class."""
    total = found.images
    if answers.logits is None:
        areas, mean_area = (Estimate(None),) * len(class_names), Estimate(None)
    else:
        areas, mean_area = areas_under_roc(answers.log_probabilities(), answers.labels)
    estimates = {
        "top1": share_estimate(found.right, total),
        **({} if found.top5 is None else {"top5": share_estimate(answers.among_best(), total)}),
        **averages(confusion),
        "auroc": mean_area,
        "loss": replace(mean_estimate(answers.losses), value=found.loss),
    }
    return replace(found, estimates=estimates, per_class=class_figures(class_names, confusion, areas))


def surest_errors(answers: Answers, images: Images, class_names: tuple[str, ...]) -> tuple[Wrong, ...]:
    """Return the images that are wrong with the highest probability, the surest first."""
    wrong = np.flatnonzero(~answers.right)
    chosen = wrong[np.argsort(-answers.probability[wrong], kind="stable")][:MOST_ERRORS]
    return tuple(
        Wrong(
            images.names[answers.numbers[place]],
            class_names[answers.labels[place]],
            class_names[answers.predicted[place]],
            float(answers.probability[place]),
        )
        for place in chosen
    )


__all__ = ["Evaluation", "summarise"]
