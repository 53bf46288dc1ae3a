"""What a detector finds: in a split, in one image, drawn, and as COCO's JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import nn

from vitrail.console import percent
from vitrail.data.joint import JointTransform
from vitrail.heads.dense import dense_of
from vitrail.heads.detections import Detections
from vitrail.tasks.detection.average_precision import CocoResults, to_results
from vitrail.tasks.detection.loss import Detection
from vitrail.training import distributed
from vitrail.training.interfaces import Batch
from vitrail.training.measure import device_of, to_device
from vitrail.visualize.objects import draw_objects
from vitrail.weights.description import Description


@dataclass(frozen=True)
class Detected:
    """What a detector finds in one image.

    Attributes:
        file: the image.
        objects: best first, each with ``class``, ``score``, ``box`` (left, top, width, height) and, from a detector
            with masks, ``segmentation`` (packed run lengths, as COCO has them).
        drawn: where the image with the objects drawn on it was written.
        error: why the image could not be read, if it could not.
    """

    file: str
    objects: tuple[dict[str, Any], ...] = ()
    drawn: str = ""
    error: str | None = None
    size: tuple[int, int] = field(default=(0, 0), repr=False)


def find_all(task: nn.Module, batches: Iterable[Batch]) -> tuple[CocoResults, tuple[int, ...]]:
    """Find the objects in the images of all processes.

    Returns:
        COCO's results, and the numbers of the images that were looked at: damaged ones were not. Both are the same in
        every process.
    """
    device = device_of(task)
    results: CocoResults = []
    looked_at: list[int] = []
    for batch in batches:
        found = cast(Detection, task).find(to_device(batch, device))
        numbers, sizes = batch["index"].tolist(), batch["original"].tolist()
        looked_at += numbers
        for number, (height, width), one in zip(numbers, sizes, found, strict=True):
            results += to_results(one, number, height, width)
    parts = distributed.gather((results, looked_at))
    everywhere = [one for part, _ in parts for one in part]
    return sorted(everywhere, key=lambda one: one["image_id"]), tuple(sorted(n for _, part in parts for n in part))


def drawn_objects(image: Image.Image, found: Detections, names: tuple[str, ...]) -> Image.Image:
    """Draw what was found in an image, the best on top."""
    order = found.scores.argsort()
    found = found.keep(order).cpu()
    height, width = image.height, image.width
    masks = None
    if found.masks is not None:
        masks = torch.stack([found.pasted(n, height, width) for n in range(len(found))]).numpy() if len(found) else None
    classes = found.classes.tolist()
    labels = [f"{names[k]} {percent(score)}" for k, score in zip(classes, found.scores.tolist(), strict=True)]
    return draw_objects(image, found.boxes.numpy(), labels, classes, masks)


def write_coco(detected: list[Detected], description: Description, file: Path) -> None:
    """Write what was found as COCO's JSON: a complete file, with images, categories, and scores of the objects.

    Categories have the ids of the data set that was learned from, where it had any.
    """
    names = description.class_names
    number = dict(zip(names, description.category_ids or range(1, len(names) + 1), strict=True))
    images = [
        {"id": n + 1, "file_name": one.file, "width": one.size[0], "height": one.size[1]}
        for n, one in enumerate(detected)
    ]
    annotations = []
    for n, one in enumerate(detected):
        for thing in one.objects:
            left_top_wide_tall = thing["box"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": n + 1,
                    "category_id": number[thing["class"]],
                    "bbox": left_top_wide_tall,
                    "area": left_top_wide_tall[2] * left_top_wide_tall[3],
                    "iscrowd": 0,
                    "score": thing["score"],
                    **({"segmentation": thing["segmentation"]} if "segmentation" in thing else {}),
                }
            )
    categories = [{"id": place, "name": name} for name, place in number.items()]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def whole_image(description: Description) -> JointTransform:
    """Return how an image is brought to the size a detector was trained at."""
    return JointTransform(min(description.preprocessing.image_size), dense_of(description.model).longest)
