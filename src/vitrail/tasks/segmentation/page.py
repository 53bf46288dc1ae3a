"""What the page of a segmenter's evaluation shows: confusions, classes, precision over recall, the worst images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from vitrail.console import percent
from vitrail.data.segments import SegmentImages
from vitrail.data.sources import Images
from vitrail.errors import ImageError
from vitrail.tasks.class_tables import reach, worst_and_best
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import left_out
from vitrail.tasks.segmentation.metrics import SegmentEvaluation
from vitrail.tasks.segmentation.predictor import PixelPredictor
from vitrail.tasks.segmentation.words import (
    CLASS_COLUMNS,
    CONFUSION_COLUMNS,
    HEADLINES,
    by_iou,
    class_rows,
    confusion_rows,
    sentences,
)
from vitrail.visualize import segments
from vitrail.visualize.confusion import draw_confusion
from vitrail.visualize.estimates import MOST_LINES, draw_lines, draw_rows
from vitrail.visualize.figure import Figure
from vitrail.visualize.report import Table

ABOUT_CURVES = (
    "Which share of the pixels called a class are it, as ever less probable ones are called so and more of its pixels "
    "are found."
)


def illustrate(found: SegmentEvaluation, images: Images, predictor: PixelPredictor, all_classes: bool) -> Illustrated:
    """Draw and list what an evaluation found.

    Args:
        found: the evaluation.
        images: the data set it is of.
        predictor: the segmenter, which is asked for the worst images again.
        all_classes: list every class, and of many not only the worst and the best.
    """
    rows, said = class_rows(found.per_class, all_classes)
    tables = [Table(", ".join(("Classes", *said)), CLASS_COLUMNS, rows)]
    if found.confusions:
        tables.append(Table("The most frequent mistakes", CONFUSION_COLUMNS, confusion_rows(found.confusions)))
    notes = (*left_out(found.damaged, found.images + len(found.damaged)), *found.notes, *sentences(found))
    return Illustrated(tuple(_facts(found)), dict(_figures(found, images, predictor)), tuple(tables), notes)


def _facts(found: SegmentEvaluation) -> Iterator[tuple[str, str]]:
    for name, title in HEADLINES.items():
        known = reach(found.estimates.get(name))
        yield f"{title}{f', 95 %: {known}' if known else ''}", percent(getattr(found, name))
    for size, share in found.found_by_size.items():
        if share is not None:
            yield f"found in {size} regions", percent(share)


def _figures(found: SegmentEvaluation, images: Images, predictor: PixelPredictor) -> Iterator[tuple[str, Figure]]:
    names, table = [one.name for one in found.per_class], np.array(found.table)
    drawn = draw_confusion(table, names, shares=True)
    if drawn is not None:
        text = "How the pixels of each class are called, in per cent of the class."
        yield "confusion", Figure(drawn, "Confusion", text, {"classes": np.array(names), "pixels": table})
    chosen, said = worst_and_best([one for one in found.per_class if one.iou.value is not None], by_iou, "IoU", False)
    if chosen:
        figures = [("IoU", [one.iou for one in chosen]), ("found", [one.found for one in chosen])]
        text = f"Whiskers are 95 % intervals, by bootstrap over images. {said.partition(';')[0].capitalize()}".strip()
        yield "classes", Figure(draw_rows([one.name for one in chosen], figures), "Classes", text, {"classes": chosen})
    if found.curves:
        yield "precision_recall", _curves(found)
    worst = _worst(found, images, predictor)
    if worst is not None:
        text = "Those with the smallest share of right pixels: what is there, what the model says, and where it errs."
        yield "worst_images", Figure(worst, "Worst images", text, {"images": found.worst_images})


def _curves(found: SegmentEvaluation) -> Figure:
    there = [one for one in found.per_class if one.name in found.curves]
    ranked = sorted(there, key=lambda one: one.average_precision or 0.0)
    half = MOST_LINES // 2
    chosen = ranked if len(ranked) <= MOST_LINES else [*ranked[:half], *ranked[-half:]]
    lines = {}
    for one in chosen:
        curve = found.curves[one.name]
        lines[f"{one.name}, AP {percent(one.average_precision)}"] = list(
            zip(curve["recall"], curve["precision"], strict=True)
        )
    which = (
        f" Drawn are the {half} worst and the {half} best of {len(there)} classes." if len(chosen) < len(there) else ""
    )
    drawn = draw_lines(lines, "recall, %", "precision, %")
    return Figure(drawn, "Precision over recall", f"{ABOUT_CURVES}{which}", dict(found.curves))


def _worst(found: SegmentEvaluation, images: Images, predictor: PixelPredictor) -> Image.Image | None:
    """Return the worst images as a panel; None where none of their files can be opened again."""
    number = {name: place for place, name in enumerate(images.names)}
    channels = predictor.description.preprocessing.channels
    shown: list[Image.Image] = []
    truths: list[Any] = []
    captions: list[str] = []
    for one in found.worst_images:
        try:
            shown.append(images.item(number[one.file]).open(channels))
        except ImageError:
            continue  # it could be read a moment ago, and is gone
        truths.append(images.segments(number[one.file]) if isinstance(images, SegmentImages) else None)
        mistake = f"{percent(one.right)} right; {percent(one.share)} {one.label} called {one.said}"
        captions.append(f"{one.file.rpartition('/')[2]}\n{mistake}")
    if not shown:
        return None
    classes = [one.classes for one in predictor(shown)]
    return segments.panel(shown, truths, classes, predictor.description.class_names, captions)


__all__ = ["illustrate"]
