"""What a detector sees, as pictures: what it finds, its pyramid, and the anchors it learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vitrail.data.images import open_image, with_channels
from vitrail.data.objects import ObjectPictures, no_objects
from vitrail.data.sources import Pictures
from vitrail.figures.draw import Tile, enlarge, heat_map, sheet
from vitrail.figures.objects import draw_objects
from vitrail.tasks.detection import Detection
from vitrail.verbs.kinds.found import drawn_objects, find, whole_picture
from vitrail.weights.checkpoint import Description

SHOWN_FROM = 0.5
"""Objects of a lower score are not drawn."""
PYRAMIDS = 3
LEAST_CONTRAST = 1.01


def draw(model: Any, description: Description, pictures: Pictures, count: int) -> dict[str, Image.Image]:
    """Draw some pictures, evenly spread over all: ``objects``, ``pyramid`` and, of a region detector, ``anchors``."""
    task = Detection(model, description.preprocessing).eval()
    count = min(count, len(pictures))
    numbers = [int((i + 0.5) * len(pictures) / count) for i in range(count)]
    shown = [_picture(pictures, number, description) for number in numbers]
    drawn = {"objects": _objects(task, description, pictures, numbers, shown)}
    drawn["pyramid"] = _pyramid(task, description, shown[:PYRAMIDS])
    if hasattr(model, "proposals") and isinstance(pictures, ObjectPictures):
        drawn["anchors"] = _anchors(task, description, pictures, numbers[:PYRAMIDS], shown[:PYRAMIDS])
    return drawn


def _picture(pictures: Pictures, number: int, description: Description) -> Image.Image:
    item, channels = pictures.items[number], description.preprocessing.channels
    if isinstance(item, Path):
        return open_image(item, channels)
    return with_channels(item.picture(), channels)  # type: ignore[attr-defined]


@torch.inference_mode()
def _objects(
    task: Detection, description: Description, pictures: Pictures, numbers: list[int], shown: list[Image.Image]
) -> Image.Image:
    """Draw what is found, and below it what is there."""
    names = description.class_names
    found_row, truth_row = [], []
    for number, picture in zip(numbers, shown, strict=True):
        found = find(task, picture, description)
        found = found.keep(found.scores >= SHOWN_FROM)
        large = enlarge(picture)
        factor = large.width / picture.width
        found_row.append(Tile(drawn_objects(large, found.scaled(factor, factor), names), f"found: {len(found)}"))
        if isinstance(pictures, ObjectPictures):
            truth_row.append(_truth_tile(large, pictures, number, names, factor))
    rows = []
    for start in range(0, len(found_row), 3):
        rows += [found_row[start : start + 3], *([truth_row[start : start + 3]] if truth_row else [])]
    return sheet(rows)


def _truth_tile(
    large: Image.Image, pictures: ObjectPictures, number: int, names: tuple[str, ...], factor: float
) -> Tile:
    objects = pictures.annotated[number].objects()
    size = large.size
    masks = np.array(
        [np.asarray(Image.fromarray(mask.numpy()).resize(size, Image.Resampling.NEAREST)) > 0 for mask in objects.masks]
    )
    classes = objects.classes.tolist()
    labels = [names[k] for k in classes]
    drawn = draw_objects(large, objects.boxes.numpy() * factor, labels, classes, masks)
    return Tile(drawn, f"there: {len(objects)}")


@torch.inference_mode()
def _pyramid(task: Detection, description: Description, shown: list[Image.Image]) -> Image.Image:
    """Draw how strongly each map of the pyramid answers at each place."""
    rows = []
    for picture in shown:
        image = _input(task, picture, description)
        maps = task.model.pyramid(image)
        large = enlarge(picture)
        height, width = _fitted(picture, description)
        row: list[Tile | None] = [Tile(large, "picture")]
        for stride, level in zip(task.model.pyramid.strides, maps, strict=True):
            strength = level[0].float().norm(dim=0)[: max(1, height // stride), : max(1, width // stride)]
            low = float(strength.min())
            # A map that is the same everywhere is shown flat, not as its rounding errors.
            high = max(float(strength.max()), low * LEAST_CONTRAST)
            row.append(Tile(heat_map(large, strength, low, high), f"stride {stride}"))
        rows.append(row)
    note = "The length of the pyramid's vector at every place, from the least to the largest of each map."
    return sheet(rows, note=note, legend=("weak", "strong"))


@torch.inference_mode()
def _anchors(
    task: Detection, description: Description, pictures: ObjectPictures, numbers: list[int], shown: list[Image.Image]
) -> Image.Image:
    """Draw the anchors that learn to find each object, in the colour of their stride."""
    from torchvision.models.detection.image_list import ImageList

    tiles: list[Tile | None] = []
    network = task.model.proposals
    for number, picture in zip(numbers, shown, strict=True):
        image = _input(task, picture, description)
        features = list(task.model.features(image).values())
        (anchors,) = network.anchor_generator(ImageList(image, [tuple(image.shape[-2:])]), features)  # type: ignore[list-item]
        large = enlarge(picture)
        factor = large.width / _fitted(picture, description)[1]
        objects = pictures.annotated[number].objects()
        boxes = objects.boxes * (_fitted(picture, description)[1] / picture.width)
        (labels,), _ = network.assign_targets_to_anchors([anchors], [{"boxes": boxes}])
        matched = torch.where(labels > 0)[0]
        per_level = torch.tensor([level.shape[-2] * level.shape[-1] * 3 for level in features]).cumsum(0)
        levels = torch.searchsorted(per_level, matched, right=True).tolist()
        drawn = draw_objects(large, anchors[matched].numpy() * factor, [""] * len(matched), levels)
        tiles.append(Tile(drawn, f"objects: {len(objects)}\n{len(matched)} of {len(anchors):,} anchors match"))
    return sheet([tiles], note="Anchors that count as an object while training; each stride has its colour.")


def _fitted(picture: Image.Image, description: Description) -> tuple[int, int]:
    """Return height and width that a picture has for the detector."""
    image, _ = whole_picture(description)(picture, no_objects(picture.size))
    return image.shape[1], image.shape[2]


def _input(task: Detection, picture: Image.Image, description: Description) -> torch.Tensor:
    image, _ = whole_picture(description)(picture, no_objects(picture.size))
    return task.normalise(image[None])
