"""COCO's twelve figures, for boxes and for masks."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Collection, Sequence
from typing import Any

from vitrail.data.objects import ObjectImages
from vitrail.data.rle import encode
from vitrail.heads.detections import Detections

_PRECISIONS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
_RECALLS = ("ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large")
NAMES = (*_PRECISIONS, *_RECALLS)
"""The twelve figures in COCO's order: precision over IoU 0.50 to 0.95, at 0.50 and 0.75, and by area (below 32^2, up to
96^2, and above, in pixels); recall with 1, 10 and 100 detections an image, and by area."""

CocoResults = list[dict[str, Any]]
"""COCO's results: ``image_id``, ``category_id`` (both from 0, one more for the latter), ``bbox``, ``score``, and with
masks ``segmentation``."""


def to_results(found: Detections, number: int, height: int, width: int) -> CocoResults:
    """Turn what was found in image ``number``, of this height and width, into COCO's results."""
    results = []
    found = found.cpu()
    for place, (box, score, class_) in enumerate(
        zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    ):
        left, top, right, bottom = box
        one = {"image_id": number, "category_id": class_ + 1, "bbox": [left, top, right - left, bottom - top]}
        if found.masks is not None:
            one["segmentation"] = encode(found.pasted(place, height, width).numpy())
        results.append({**one, "score": score})
    return results


def truth_of(
    images: ObjectImages, class_names: Sequence[str], looked_at: Collection[int] | None = None
) -> dict[str, Any]:
    """Return the annotations of images as COCO's JSON has them, with numbers from `to_results` for ids.

    Args:
        images: the images.
        class_names: of all classes, in the order of their numbers.
        looked_at: numbers of the images that count; by default all.
    """
    records, annotations = [], []
    for number, known in enumerate(images.annotated):
        if looked_at is not None and number not in looked_at:
            continue
        width, height = known.size
        records.append({"id": number, "width": width, "height": height, "file_name": images.names[number]})
        for one in known.truth():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": one["class"] + 1,
                    "bbox": one["bbox"],
                    **({"segmentation": one["segmentation"]} if "segmentation" in one else {}),
                    "area": one.get("area", one["bbox"][2] * one["bbox"][3]),
                    "iscrowd": int(one.get("iscrowd", 0)),
                }
            )
    categories = [{"id": place + 1, "name": name} for place, name in enumerate(class_names)]
    return {"images": records, "annotations": annotations, "categories": categories}


def twelve_figures(truth: dict[str, Any], results: CocoResults, masks: bool = False) -> dict[str, float]:
    """Return COCO's twelve figures by the names in `NAMES`, nan where there is nothing to measure.

    Args:
        truth: the annotations, as COCO's JSON has them.
        results: what was found, in COCO's format.
        masks: measure masks and not boxes.
    """
    return figures_by_name(evaluate(truth, results, masks), truth)


def figures_by_name(evaluated: Any, truth: dict[str, Any]) -> dict[str, float]:
    """Return the twelve figures of COCO's evaluation, as `twelve_figures` does; None of it where nothing was found."""
    if evaluated is None:
        return _figures_of_nothing(truth)
    # numpy's numbers would get into a run's state, which only plain ones can be loaded from again.
    figures = [float(value) for value in evaluated.stats[:12]]
    return {name: value if value >= 0 else math.nan for name, value in zip(NAMES, figures, strict=True)}


def class_precisions(
    truth: dict[str, Any], results: CocoResults, masks: bool = False
) -> dict[int, tuple[float, float]]:
    """Return AP and AP50 of each category by its id, nan where no image has one."""
    found = precisions_by_class(evaluate(truth, results, masks), truth)
    return {id_: (one["ap"], one["ap50"]) for id_, one in found.items()}


def precisions_by_class(evaluated: Any, truth: dict[str, Any]) -> dict[int, dict[str, float]]:
    """Return the first six of COCO's figures of each category by its id; nan where it has no object of that size.

    Args:
        evaluated: COCO's evaluation; None where nothing was found.
        truth: the annotations, as COCO's JSON has them.
    """
    ids = sorted(category["id"] for category in truth["categories"])
    if evaluated is None:
        of_class = {id_: [one for one in truth["annotations"] if one["category_id"] == id_] for id_ in ids}
        nothing = {id_: _figures_of_nothing({"annotations": known}) for id_, known in of_class.items()}
        return {id_: {name: figures[name] for name in _PRECISIONS} for id_, figures in nothing.items()}
    precision = evaluated.eval["precision"]  # (IoU, recall, category, area, most detections)
    found = {}
    for k, id_ in enumerate(ids):
        of_class = precision[:, :, k, :, -1]
        parts = (of_class[..., 0], of_class[0, :, 0], of_class[5, :, 0], *(of_class[..., size] for size in (1, 2, 3)))
        found[id_] = {name: _mean(part) for name, part in zip(_PRECISIONS, parts, strict=True)}
    return found


RECALLS = tuple(step / 100 for step in range(101))
"""Recalls at which COCO reads precision off."""


def precision_curves(evaluated: Any) -> dict[str, tuple[float, ...]]:
    """Return precision over `RECALLS`, the mean over the classes that have objects.

    Args:
        evaluated: COCO's evaluation; None where nothing was found.

    Returns:
        By the IoU from which a detection counts: ``0.5``, ``0.75``, and ``0.5 to 0.95``, the mean of ten.
    """
    if evaluated is None:
        return dict.fromkeys(("0.5", "0.75", "0.5 to 0.95"), (0.0,) * len(RECALLS))
    precision = evaluated.eval["precision"][:, :, :, 0, -1]  # (IoU, recall, category)
    there = precision[0, 0] > -1
    means = precision[:, :, there].mean(axis=2) if there.any() else precision[:, :, 0] * 0
    kinds = {"0.5": means[0], "0.75": means[5], "0.5 to 0.95": means.mean(axis=0)}
    return {name: tuple(one.tolist()) for name, one in kinds.items()}


def evaluate(truth: dict[str, Any], results: CocoResults, masks: bool) -> Any:
    """Run COCO's evaluation; None where nothing was found, which the package cannot take."""
    from faster_coco_eval import COCO, COCOeval_faster

    # Of a result with a box and a mask the area would be the box's.
    left_out = "bbox" if masks else "segmentation"
    results = [{key: value for key, value in one.items() if key != left_out} for one in results]
    if not results or not truth["annotations"]:
        return None
    if not masks:
        boxes = [{key: value for key, value in one.items() if key != "segmentation"} for one in truth["annotations"]]
        truth = {**truth, "annotations": boxes}
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO({"info": {}, **truth})
        evaluator = COCOeval_faster(known, known.loadRes(results), iouType="segm" if masks else "bbox")
        evaluator.run()
    return evaluator


def _figures_of_nothing(truth: dict[str, Any]) -> dict[str, float]:
    """Return the figures of a detector that finds nothing: 0 where there is an object to find, else nan."""
    areas = [one["area"] for one in truth["annotations"] if not one["iscrowd"]]
    ranges = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, math.inf)}
    figures = {}
    for name in NAMES:
        least, most = ranges.get(name.rpartition("_")[2], (0, math.inf))
        figures[name] = 0.0 if any(least <= area <= most for area in areas) else math.nan
    return figures


def _mean(values: Any) -> float:
    counted = values[values > -1]
    return float(counted.mean()) if counted.size else math.nan


__all__ = [
    "NAMES",
    "RECALLS",
    "class_precisions",
    "evaluate",
    "figures_by_name",
    "precision_curves",
    "precisions_by_class",
    "to_results",
    "truth_of",
    "twelve_figures",
]
