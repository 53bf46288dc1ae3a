"""What a detector sees, as images: what it finds, its pyramid, and the anchors it learns from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from vitrail.console import percent
from vitrail.data.images import open_image, with_channels
from vitrail.data.objects import ObjectImages, no_objects
from vitrail.data.sources import Images
from vitrail.heads.detr import Detr
from vitrail.tasks.detection.found import drawn_objects, find, whole_image
from vitrail.tasks.detection.loss import PADDED_TO, Detection
from vitrail.visualize.attention import peak_of
from vitrail.visualize.draw import Tile, enlarge, sheet
from vitrail.visualize.maps import maps_panel
from vitrail.visualize.object_attention import has_attention, object_multiples
from vitrail.visualize.objects import colour_of, draw_objects, outlined
from vitrail.visualize.scales import attention_legend, attention_map
from vitrail.visualize.segments import below, legend
from vitrail.weights.description import Description

SHOWN_FROM = 0.5
"""Objects of a lower score are not drawn."""
DRAWN_CLOSELY = 3
"""Images whose pyramid, anchors and attention are drawn."""
LOOKED_AT = 3
"""Objects of each whose attention is drawn."""
ANCHORS_NOTE = (
    "In white the objects, in colour the anchors that count as one of them while training. Where no anchor fits an "
    "object well, those that fit it best do."
)


def draw(model: Any, description: Description, images: Images) -> dict[str, Image.Image]:
    """Draw what a detector makes of images.

    Returns:
        ``objects`` that are found; ``attention`` of the surest, where head or backbone has any; of a region detector
        the ``pyramid`` and, where the objects are known, the ``anchors``.
    """
    task = Detection(model, description.preprocessing).eval()
    numbers = list(range(len(images)))
    shown = [_image(images, number, description) for number in numbers]
    drawn = {"objects": _objects(task, description, images, numbers, shown)}
    few = shown[:DRAWN_CLOSELY]
    looks = _attention(task, description, few) if has_attention(model) else None
    if looks is not None:
        drawn["attention"] = looks
    if isinstance(model, Detr):
        return drawn
    drawn["pyramid"] = _pyramid(task, description, few)
    if isinstance(images, ObjectImages):
        drawn["anchors"] = _anchors(task, description, images, numbers[:DRAWN_CLOSELY], few)
    return drawn


def _image(images: Images, number: int, description: Description) -> Image.Image:
    item, channels = images.items[number], description.preprocessing.channels
    if isinstance(item, Path):
        return open_image(item, channels)
    return with_channels(item if isinstance(item, Image.Image) else item.image(), channels)  # type: ignore[attr-defined]


@torch.inference_mode()
def _objects(
    task: Detection, description: Description, images: Images, numbers: list[int], shown: list[Image.Image]
) -> Image.Image:
    """Draw what is found, and below it what is there."""
    names = description.class_names
    found_row, truth_row = [], []
    for number, image in zip(numbers, shown, strict=True):
        found = find(task, image, description)
        found = found.keep(found.scores >= SHOWN_FROM)
        large = enlarge(image)
        factor = large.width / image.width
        caption = f"{images.names[number]}\nfound: {len(found)}, of a score of {percent(SHOWN_FROM)} or more"
        found_row.append(Tile(drawn_objects(large, found.scaled(factor, factor), names), caption))
        if isinstance(images, ObjectImages):
            truth_row.append(_truth_tile(large, images, number, names, factor))
    rows = []
    for start in range(0, len(found_row), 3):
        rows += [found_row[start : start + 3], *([truth_row[start : start + 3]] if truth_row else [])]
    return sheet(rows)


def _truth_tile(large: Image.Image, images: ObjectImages, number: int, names: tuple[str, ...], factor: float) -> Tile:
    objects = images.annotated[number].objects()
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
    """Draw the maps of the pyramid, without what stands for the padding of the image."""
    strides = task.model.pyramid.strides
    levels = []
    for image in shown:
        pixels = _input(task, image, description)
        height, width = pixels.shape[-2:]
        maps = zip(task.model.pyramid(pixels), strides, strict=True)
        levels.append([level[0, :, : math.ceil(height / s), : math.ceil(width / s)] for level, s in maps])
    return maps_panel(shown, levels, strides)


@torch.inference_mode()
def _anchors(
    task: Detection, description: Description, images: ObjectImages, numbers: list[int], shown: list[Image.Image]
) -> Image.Image:
    """Draw the anchors that learn to find each object, in the colour of their stride, around the objects' boxes."""
    from torchvision.models.detection.image_list import ImageList

    tiles: list[Tile | None] = []
    network = task.model.proposals
    strides = (*task.model.pyramid.strides, 2 * task.model.pyramid.strides[-1])
    for number, image in zip(numbers, shown, strict=True):
        pixels = _input(task, image, description)
        features = list(task.model.features(pixels).values())
        (anchors,) = network.anchor_generator(ImageList(pixels, [tuple(pixels.shape[-2:])]), features)  # type: ignore[list-item]
        large = enlarge(image)
        wide, factor = pixels.shape[-1], large.width / pixels.shape[-1]
        objects = images.annotated[number].objects()
        boxes = objects.boxes * (wide / image.width)
        (labels,), _ = network.assign_targets_to_anchors([anchors], [{"boxes": boxes}])
        matched = torch.where(labels > 0)[0]
        per_level = torch.tensor([level.shape[-2] * level.shape[-1] * 3 for level in features]).cumsum(0)
        levels = torch.searchsorted(per_level, matched, right=True).tolist()
        drawn = outlined(large, boxes.numpy() * factor)
        drawn = draw_objects(drawn, anchors[matched].numpy() * factor, [""] * len(matched), levels)
        tiles.append(Tile(drawn, f"objects: {len(objects)}\n{len(matched)} of {len(anchors):,} anchors match"))
    drawn = sheet([tiles], note=ANCHORS_NOTE)
    return below(drawn, legend([(f"stride {s}", colour_of(level)) for level, s in enumerate(strides)], drawn.width))


def _attention(task: Detection, description: Description, shown: list[Image.Image]) -> Image.Image | None:
    """Draw where the detector looks for the objects it is surest of; None where it finds nothing."""
    rows: list[list[Tile | None]] = []
    what = ""
    for image in shown:
        with torch.inference_mode():
            found = find(task, image, description)
            found = found.keep(torch.arange(min(LOOKED_AT, len(found)))).cpu()
        if not len(found):
            continue
        pixels = _input(task, image, description)
        height, width = pixels.shape[-2:]
        filled = F.pad(pixels, (0, -width % PADDED_TO, 0, -height % PADDED_TO))
        boxes = found.scaled(height / image.height, width / image.width).boxes
        maps, what = object_multiples(task.model, filled, boxes)
        large = enlarge(image)
        found = found.scaled(large.height / image.height, large.width / image.width)
        names = [description.class_names[k] for k in found.classes.tolist()]
        row: list[Tile | None] = [Tile(large, "image")]
        for box, score, name, values in zip(found.boxes, found.scores.tolist(), names, maps, strict=True):
            multiples = values[:height, :width]
            drawn = outlined(attention_map(large, multiples), box[None].numpy())
            row.append(Tile(drawn, f"{name} {percent(score)}\n{peak_of(multiples)}"))
        rows.append(row)
    if not rows:
        return None
    note = f"For each of the objects the detector is surest of, in its box: {what}. All maps have the one scale above."
    return sheet(rows, note=note, legend=attention_legend())


def _input(task: Detection, image: Image.Image, description: Description) -> torch.Tensor:
    pixels, _ = whole_image(description)(image, no_objects(image.size))
    return task.normalise(pixels[None])
