"""What an evaluation found, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vitrail.console import percent, points, shortened
from vitrail.tasks.class_tables import in_brackets, reach, worst_and_best
from vitrail.tasks.classification.evaluation.abstaining import Abstaining
from vitrail.tasks.classification.evaluation.found import Comparison, Wrong
from vitrail.tasks.classification.evaluation.temperature import EvaluatedCalibration
from vitrail.trust.per_class import ClassFigures, Mistake
from vitrail.trust.quantiles import Part

if TYPE_CHECKING:
    from vitrail.tasks.classification.metrics import Evaluation

CLASS_COLUMNS = ("class", "images", "right", "95 % interval", "precision", "F1", "AUROC")

MEANS = {"precision": "precision", "f1": "F1", "auroc": "AUROC"}

MISTAKE_COLUMNS = ("labelled", "called", "images", "of the class")

EMPTY_SHOWN = 20
"""Classes without images that a table shows; where there are more, it shows none."""

RANKED = "share that is right"

FEW = 10
"""Images of a class below which little is known of it."""

NAMED = 3
"""Errors that are named in print."""


def class_rows(per_class: Sequence[ClassFigures], all_classes: bool) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the table of classes, with `CLASS_COLUMNS`, and sentences about what it leaves out.

    Classes without images are left out where there are many of them, and of many others all but the worst and the best,
    unless all are asked for.
    """
    empty = [one.name for one in per_class if not one.images]
    hidden = len(empty) > EMPTY_SHOWN and not all_classes
    chosen, left_out = worst_and_best(
        [one for one in per_class if one.images or not hidden], by_recall, RANKED, all_classes
    )
    said = [left_out] if left_out else []
    if hidden:
        said.append(f"not shown: {len(empty):,} of {len(per_class):,} classes, which have no images here")
    elif empty:
        said.append(f"of {len(per_class):,} classes {_have(len(empty))} no images here: {shortened(empty)}")
    called = sum(one.said > 0 for one in per_class if not one.images)
    if called:
        which = "1 class" if called == 1 else f"{called:,} classes"
        said.append(f"named although no image is of it: {which}; precision and F1 of 0 count in their means")
    few = sum(0 < one.images < FEW for one in per_class)
    if few:
        total = len(per_class) - len(empty)
        said.append(f"of {total:,} classes {_have(few)} fewer than {FEW} images here: little is known of each")
    return [class_row(one) for one in chosen], said


def _have(count: int) -> str:
    return "1 has" if count == 1 else f"{count:,} have"


def by_recall(one: ClassFigures) -> tuple[float, ...] | None:
    """Return the share that is right and, where that is equal, the middle of its interval: more images tell more."""
    if one.recall.value is None or one.recall.low is None or one.recall.high is None:
        return None
    return one.recall.value, one.recall.low + one.recall.high


def class_row(one: ClassFigures) -> tuple[Any, ...]:
    """Return a row of the table of classes, with `CLASS_COLUMNS`."""
    figures = (percent(part.value) for part in (one.precision, one.f1, one.auroc))
    return one.name, one.images, percent(one.recall.value), reach(one.recall) or "-", *figures


def mistake_rows(mistakes: Sequence[Mistake]) -> list[tuple[Any, ...]]:
    """Return the table of the most frequent mistakes, with `MISTAKE_COLUMNS`."""
    return [(one.label, one.said, one.images, percent(one.share)) for one in mistakes]


def sentences(found: Evaluation) -> Iterator[str]:
    """Say what is known beside accuracy: means over the classes, calibration, conditions, the surest errors."""
    means = [
        f"{said} {percent(one.value)}{in_brackets(one)}"
        for name, said in MEANS.items()
        if (one := found.estimates.get(name)) is not None and one.value is not None
    ]
    if means:
        yield f"means over the classes: {', '.join(means)}; in brackets 95 % intervals"
    if found.calibration is not None:
        yield about_calibration(found.calibration)
    if found.abstaining is not None:
        yield about_abstaining(found.abstaining)
    for what, parts, unit in (("size", found.by_size, " px"), ("brightness", found.by_brightness, "")):
        if parts:
            yield f"right by {what}: {', '.join(about_part(part, unit) for part in parts)}"
    if found.surest_errors:
        yield f"surest errors: {'; '.join(about_error(one) for one in found.surest_errors[:NAMED])}"
    if found.comparison is not None:
        yield from about_comparison(found.comparison)


def about_calibration(found: EvaluatedCalibration) -> str:
    """Say how far confidence is from accuracy, and what a temperature makes of it."""
    before, after = found.before, found.after
    gap = "surer than right" if before.confidence > before.accuracy else "less sure than right"
    said = (
        f"calibration: expected error {percent(before.ece)}; mean confidence {percent(before.confidence)}, "
        f"accuracy {percent(before.accuracy)}: {gap}"
    )
    if after is None or found.temperature is None:
        return f"{said}. {found.fitted_on}"
    return f"{said}; {percent(after.ece)} with temperature {found.temperature:.3g}. {found.fitted_on}"


def about_abstaining(found: Abstaining) -> str:
    """Say how much is answered where the model may be unsure, and how often answers and sets of classes are right."""
    whose = "none of them measured here" if found.apart else "each half of which is judged by the other half"
    sets = (
        f"sets hold the right class of {percent(found.held.value)}{in_brackets(found.held)} where "
        f"{found.coverage * 100:g} % are wanted, with {found.set_size:.2f} classes on average"
    )
    if found.threshold is not None and found.held_unsure.value is not None:
        sets += f", and of those not answered {percent(found.held_unsure.value)}{in_brackets(found.held_unsure)}"
    learned = f"learned from {found.learned_from}, {whose}"
    if found.threshold is None:
        return f"abstaining: {found.reason}; {sets}; {learned}"
    wanted = f"where at most {found.max_error * 100:g} % may be"
    wrong = f"wrong are {percent(found.error.value)} of these answers{in_brackets(found.error)}, {wanted}"
    if found.error.value is None:
        wrong = "none of them can be wrong"
    return (
        f"abstaining: answered from {percent(found.threshold)} on are {percent(found.answered.value)}"
        f"{in_brackets(found.answered)} of the images; {wrong}; {sets}; {learned}"
    )


def about_part(part: Part, unit: str) -> str:
    """Say how often a part of the images is named right."""
    return f"{percent(part.accuracy.value)} at {span(part, unit)}"


def span(part: Part, unit: str) -> str:
    """Write the values of a part: ``120-160 px``."""
    low, high = (f"{value:.0f}" if unit else f"{value:.2f}" for value in (part.low, part.high))
    return f"{low}{unit}" if low == high else f"{low}-{high}{unit}"


def about_error(one: Wrong) -> str:
    """Say what an image is called, and what it is."""
    return f"{one.file} is called {one.said} at {percent(one.probability)}, and labelled {one.label}"


def about_comparison(found: Comparison) -> Sequence[str]:
    """Say which of two models is right more often, and whether these images can tell."""
    paired = found.paired
    difference = paired.difference
    assert difference.value is not None
    assert difference.low is not None
    assert difference.high is not None
    more, sign = ("more", 1) if difference.value >= 0 else ("fewer", -1)
    low, high = sorted((sign * difference.low, sign * difference.high))
    verdict = "the models differ" if paired.is_told else "these images cannot tell the models apart"
    return (
        *found.notes,
        f"beside {found.other}, on {paired.images:,} images: this model is right on "
        f"{points(sign * difference.value)} {more} (95 % interval {points(low + 0.0)} to {points(high + 0.0)}), "
        f"{percent(paired.first.value)} against {percent(paired.second.value)}; {paired.only_first:,} images are right "
        f"only here and {paired.only_second:,} only there: "
        f"{verdict} (McNemar's exact test, p = {paired.p_value:.2g})",
    )


__all__ = [
    "CLASS_COLUMNS",
    "MISTAKE_COLUMNS",
    "RANKED",
    "about_abstaining",
    "about_calibration",
    "about_comparison",
    "about_error",
    "by_recall",
    "class_rows",
    "mistake_rows",
    "sentences",
    "span",
]
