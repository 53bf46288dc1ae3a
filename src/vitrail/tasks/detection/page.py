"""What the page of a detector's evaluation shows: precision over recall, classes, and the images with most mistakes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from vitrail.console import percent
from vitrail.data.sources import Images
from vitrail.errors import ImageError
from vitrail.tasks.class_tables import reach, worst_and_best
from vitrail.tasks.detection.average_precision import RECALLS
from vitrail.tasks.detection.matches import greedy
from vitrail.tasks.detection.metrics import DetectionEvaluation
from vitrail.tasks.detection.mistakes import ImageMistakes
from vitrail.tasks.detection.words import CLASS_COLUMNS, by_precision, class_rows, sentences
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import left_out
from vitrail.visualize.draw import Tile, enlarge, sheet
from vitrail.visualize.estimates import draw_lines, draw_rows
from vitrail.visualize.figure import Figure
from vitrail.visualize.objects import draw_objects, outlined
from vitrail.visualize.report import Table

COLUMNS = 3
"""Images in a row of the sheet."""

ABOUT_CURVES = (
    "Which share of the detections are objects, as ever less sure ones are taken in and more of the objects are found: "
    "the mean over the classes, by how much a detection has to overlap its object (IoU)."
)


def illustrate(found: DetectionEvaluation, images: Images, all_classes: bool) -> Illustrated:
    """Draw and list what an evaluation found.

    Args:
        found: the evaluation.
        images: the data set it is of.
        all_classes: list every class, and of many not only the worst and the best.
    """
    rows, said = class_rows(found.per_class, all_classes)
    tables = (
        Table(", ".join(("Classes", *said)), CLASS_COLUMNS, rows),
        Table("COCO's figures", ("figure", *found.kinds), found.figure_rows()),
    )
    notes = (*left_out(found.damaged, found.images + len(found.damaged)), *found.notes, *sentences(found))
    files = {"predictions.jsonl": _predictions(found)}
    return Illustrated(tuple(_facts(found)), dict(_figures(found, images)), tables, notes, files)


def _predictions(found: DetectionEvaluation) -> str:
    """Write what was found in each image, as ``vitrail predict --json`` has it, one object a line."""
    files = {one["id"]: one["file_name"] for one in found.truth["images"]}
    names = {one["id"]: one["name"] for one in found.truth["categories"]}
    lines = [
        {
            "file": files[one["image_id"]],
            "class": names[one["category_id"]],
            "score": one["score"],
            "box": one["bbox"],
            **({"segmentation": one["segmentation"]} if "segmentation" in one else {}),
        }
        for one in found.results
    ]
    return "".join(f"{json.dumps(one)}\n" for one in lines)


def _facts(found: DetectionEvaluation) -> Iterator[tuple[str, str]]:
    for kind in found.kinds:
        for name in ("ap", "ap50"):
            one = found.estimates[f"{kind}_{name}"]
            yield f"{kind} {name.upper()}{f', 95 %: {reach(one)}' if reach(one) else ''}", percent(one.value)
    for size in ("small", "medium", "large"):
        if found.box[f"ap_{size}"] is not None:
            yield f"box AP, {size} objects", percent(found.box[f"ap_{size}"])


def _figures(found: DetectionEvaluation, images: Images) -> Iterator[tuple[str, Figure]]:
    lines = {name: list(zip(RECALLS, curve, strict=True)) for name, curve in found.curves.items()}
    drawn = draw_lines(lines, "recall, %", "precision, %")
    yield "precision_recall", Figure(drawn, "Precision over recall", ABOUT_CURVES, {"recall": RECALLS, **found.curves})
    chosen, said = worst_and_best([one for one in found.per_class if one.objects], by_precision, "box AP", False)
    if chosen:
        figures = [
            ("box AP", [one.ap for one in chosen]),
            (f"found with a score of {percent(found.threshold)}", [one.found for one in chosen]),
        ]
        text = f"Whiskers are 95 % intervals. {said.partition(';')[0].capitalize()}".strip()
        yield "classes", Figure(draw_rows([one.name for one in chosen], figures), "Classes", text, {"classes": chosen})
    tiles = list(_tiles(found, images))
    if tiles:
        rows = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
        text = (
            f"Those with most objects missed or wrongly found, at a score of {percent(found.threshold)} and IoU 0.5. "
            "White boxes are objects that are missed, coloured ones detections that are no object of the class."
        )
        yield "worst_images", Figure(sheet(rows), "Worst images", text, {"images": found.worst_images})


def _tiles(found: DetectionEvaluation, images: Images) -> Iterator[Tile]:
    number = {name: place for place, name in enumerate(images.names)}
    for one in found.worst_images:
        try:
            image = images.item(number[one.file]).open()
        except ImageError:
            continue  # it could be read a moment ago, and is gone
        large = enlarge(image, 320, 320)
        drawn = _drawn(found, number[one.file], large, large.width / image.width)
        yield Tile(drawn, f"{_said(one)}\n{one.file.rpartition('/')[2]}")


def _said(one: ImageMistakes) -> str:
    return f"{one.missed} of {one.objects} missed, {one.false} wrong"


def _drawn(found: DetectionEvaluation, image_id: int, image: Image.Image, factor: float) -> Image.Image:
    """Draw what is missed and what is wrongly found in an image that was scaled by a factor."""
    missed, false = _mistakes(found, image_id)
    names = {one["id"]: one["name"] for one in found.truth["categories"]}
    drawn = outlined(image, factor * corners(missed)) if missed else image
    labels = [f"{names[one['category_id']]} {percent(one['score'])}" for one in false]
    return draw_objects(drawn, factor * corners(false), labels, [one["category_id"] - 1 for one in false])


def _mistakes(found: DetectionEvaluation, image_id: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the objects of an image that are missed, and the detections that are none, the surest last."""
    known = [one for one in found.truth["annotations"] if one["image_id"] == image_id]
    sure = [one for one in found.results if one["image_id"] == image_id and one["score"] >= found.threshold]
    missed, false = [], []
    for kind in {one["category_id"] for one in (*known, *sure)}:
        there = [one for one in known if one["category_id"] == kind]
        said = sorted((one for one in sure if one["category_id"] == kind), key=lambda one: -one["score"])
        crowd = [bool(one["iscrowd"]) for one in there]
        which = (
            list(greedy(overlaps(corners(said), corners(there), crowd), crowd, 0.5)) if there else [None] * len(said)
        )
        false += [one for one, place in zip(said, which, strict=True) if place is None]
        missed += [one for place, one in enumerate(there) if place not in which and not crowd[place]]
    return missed, sorted(false, key=lambda one: one["score"])


def corners(things: list[dict[str, Any]]) -> np.ndarray:
    """Return the boxes of COCO's records as left, top, right, bottom: ``(n, 4)``."""
    boxes = np.array([one["bbox"] for one in things], dtype=np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def overlaps(found: np.ndarray, known: np.ndarray, crowd: list[bool]) -> np.ndarray:
    """Return the intersection over union of boxes ``(D, 4)`` and ``(G, 4)``: ``(D, G)``; of a crowd, over the found."""
    low, high = np.maximum(found[:, None, :2], known[None, :, :2]), np.minimum(found[:, None, 2:], known[None, :, 2:])
    both = np.maximum(high - low, 0).prod(axis=2)
    of_found, of_known = ((one[:, 2:] - one[:, :2]).prod(axis=1) for one in (found, known))
    either = of_found[:, None] + np.where(crowd, 0.0, of_known[None] - both)
    return np.divide(both, either, out=np.zeros_like(both), where=either > 0)


__all__ = ["illustrate"]
