"""What an evaluation of a segmenter found, in sentences and rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vitrail.console import percent
from vitrail.tasks.class_tables import in_brackets, reach, worst_and_best

if TYPE_CHECKING:
    from vitrail.tasks.segmentation.metrics import PixelConfusion, SegmentedClass, SegmentEvaluation, WrongImage

CLASS_COLUMNS = ("class", "pixels", "IoU", "95 % interval", "found", "precision", "AP", "small", "medium", "large")

CONFUSION_COLUMNS = ("labelled", "called", "pixels", "of the class")

HEADLINES = {"mean_iou": "mean IoU", "pixel_accuracy": "pixel accuracy", "mean_accuracy": "mean accuracy"}

NAMED = 3
"""Images that are named in print."""


def class_rows(per_class: Sequence[SegmentedClass], all_classes: bool) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the table of classes, with `CLASS_COLUMNS`, and what it leaves out."""
    chosen, said = worst_and_best(per_class, by_iou, "IoU", all_classes)
    return [_row(one) for one in chosen], [said] if said else []


def by_iou(one: SegmentedClass) -> tuple[float, ...] | None:
    """Return what classes are ranked by."""
    return None if one.iou.value is None else (one.iou.value,)


def _row(one: SegmentedClass) -> tuple[Any, ...]:
    shares = (percent(value) for value in (one.found.value, one.precision, one.average_precision))
    sizes = (percent(value) for value in one.found_by_size.values())
    return one.name, one.pixels, percent(one.iou.value), reach(one.iou) or "-", *shares, *sizes


def confusion_rows(confusions: Sequence[PixelConfusion]) -> list[tuple[Any, ...]]:
    """Return the table of the most frequent mistakes, with `CONFUSION_COLUMNS`."""
    return [(one.label, one.said, one.pixels, percent(one.share)) for one in confusions]


def sentences(found: SegmentEvaluation) -> Iterator[str]:
    """Say how well the figures are known, what sizes are, and where the most is wrong."""
    known = [
        f"{title} {percent(one.value)}{in_brackets(one)}"
        for name, title in HEADLINES.items()
        if (one := found.estimates.get(name)) is not None and one.low is not None
    ]
    if known:
        yield f"{', '.join(known)}; in brackets 95 % intervals, by bootstrap over images"
    else:
        yield "no intervals, as there are too few images"
    sizes = [f"{name} {percent(share)}" for name, share in found.found_by_size.items() if share is not None]
    yield (
        f"pixels found by the size of the region of one class they lie in: {', '.join(sizes)}; small is below 32^2 "
        "pixels, large above 96^2"
    )
    if found.worst_images:
        yield f"least is right in: {'; '.join(about_image(one) for one in found.worst_images[:NAMED])}"


def about_image(one: WrongImage) -> str:
    """Say what is wrong in an image."""
    return f"{one.file} ({percent(one.right)} of the pixels; {percent(one.share)} are {one.label} called {one.said})"


__all__ = [
    "CLASS_COLUMNS",
    "CONFUSION_COLUMNS",
    "HEADLINES",
    "about_image",
    "by_iou",
    "class_rows",
    "confusion_rows",
    "sentences",
]
