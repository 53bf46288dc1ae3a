"""What an evaluation of a detector found, in sentences and rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vitrail.console import percent
from vitrail.tasks.class_tables import in_brackets, reach, worst_and_best

if TYPE_CHECKING:
    from vitrail.tasks.detection.metrics import DetectedClass, DetectionEvaluation
    from vitrail.tasks.detection.mistakes import ImageMistakes

CLASS_COLUMNS = ("class", "objects", "box AP", "95 % interval", "AP50", "small", "medium", "large", "found", "right")

NAMED = 3
"""Images that are named in print."""


def class_rows(per_class: Sequence[DetectedClass], all_classes: bool) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the table of the classes that have objects, with `CLASS_COLUMNS`, and what it leaves out."""
    there = [one for one in per_class if one.objects]
    chosen, said = worst_and_best(there, by_precision, "box AP", all_classes)
    left_out = [said] if said else []
    if len(there) < len(per_class):
        left_out.append(
            f"not shown: {len(per_class) - len(there):,} of {len(per_class):,} classes, which have no objects here"
        )
    return [_row(one) for one in chosen], left_out


def by_precision(one: DetectedClass) -> tuple[float, ...] | None:
    """Return what classes are ranked by."""
    return None if one.ap.value is None else (one.ap.value, one.ap50 or 0.0)


def _row(one: DetectedClass) -> tuple[Any, ...]:
    sizes = (percent(value) for value in (one.ap50, one.ap_small, one.ap_medium, one.ap_large))
    at_threshold = (percent(one.found.value), percent(one.precision.value))
    return one.name, one.objects, percent(one.ap.value), reach(one.ap) or "-", *sizes, *at_threshold


def sentences(found: DetectionEvaluation) -> Iterator[str]:
    """Say how well the figures are known, what the columns of the table are, and where the most is wrong."""
    for kind in found.kinds:
        known = [
            f"{name.upper()} {percent(one.value)}{in_brackets(one)}"
            for name in ("ap", "ap50", "ap75")
            if (one := found.estimates.get(f"{kind}_{name}")) is not None and one.low is not None
        ]
        if known:
            yield f"{kind}: {', '.join(known)}; in brackets 95 % intervals, by bootstrap over images"
        else:
            yield f"{kind}: no intervals, as images or objects are too few, or detections too many to be added up again"
    yield (
        f"found and right: at IoU 0.5, of detections with a score of {percent(found.threshold)} or more; small, medium "
        "and large: AP of objects below 32^2 pixels, up to 96^2, and above"
    )
    if found.worst_images:
        yield f"most is wrong in: {'; '.join(about_image(one) for one in found.worst_images[:NAMED])}"


def about_image(one: ImageMistakes) -> str:
    """Say what is wrong in an image."""
    return f"{one.file} ({one.missed} of {one.objects} objects missed, {one.false} found that are none)"


__all__ = ["CLASS_COLUMNS", "about_image", "by_precision", "class_rows", "sentences"]
