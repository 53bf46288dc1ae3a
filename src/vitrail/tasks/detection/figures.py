"""What a detector sees, as images: what it finds, its pyramid, and the anchors it learns from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from vitrail.console import percent
from vitrail.data.objects import ObjectImages
from vitrail.data.sources import Images
from vitrail.tasks.detection.found import drawn_objects
from vitrail.tasks.detection.loss import PADDED_TO
from vitrail.tasks.detection.predictor import FoundObjects, ObjectPredictor
from vitrail.training.runtime import Runtime
from vitrail.visualize.attention import peak_of
from vitrail.visualize.draw import Tile, enlarge, sheet
from vitrail.visualize.figure import Figure
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


def draw(model: Any, description: Description, images: Images) -> dict[str, Figure]:
    """Draw what a detector makes of images.

    Returns:
        ``objects`` that are found; ``attention`` of the surest, where head or backbone has any; of a region detector
        the ``pyramid`` and, where the objects are known, the ``anchors``.
    """
    predictor = ObjectPredictor(model, description, Runtime.where(model), threshold=0.0)
    channels = description.preprocessing.channels
    shown = [images.item(number).open(channels) for number in range(len(images))]
    found = predictor(shown)
    listed = [{"file": images.names[number], **one.to_dict()} for number, one in enumerate(found)]
    drawn = {"objects": Figure(_objects(images, shown, found), data={"drawn_from": SHOWN_FROM, "images": listed})}
    few = shown[:DRAWN_CLOSELY]
    looks = _attention(predictor, few, found) if has_attention(model) else None
    if looks is not None:
        drawn["attention"] = looks
    if model.has_cross_attention:  # a DETR has neither pyramid nor anchors
        return drawn
    drawn["pyramid"] = Figure(_pyramid(predictor, few))
    if isinstance(images, ObjectImages):
        drawn["anchors"] = _anchors(predictor, images, few)
    return drawn


def _objects(images: Images, shown: list[Image.Image], found: list[FoundObjects]) -> Image.Image:
    """Draw what is found, and below it what is there."""
    found_row, truth_row = [], []
    for number, (image, one) in enumerate(zip(shown, found, strict=True)):
        sure = one.detections.keep(one.detections.scores >= SHOWN_FROM)
        large = enlarge(image)
        factor = large.width / image.width
        caption = f"{images.names[number]}\nfound: {len(sure)}, of a score of {percent(SHOWN_FROM)} or more"
        found_row.append(Tile(drawn_objects(large, sure.scaled(factor, factor), one.class_names), caption))
        if isinstance(images, ObjectImages):
            truth_row.append(_truth_tile(large, images, number, one.class_names, factor))
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
def _pyramid(predictor: ObjectPredictor, shown: list[Image.Image]) -> Image.Image:
    """Draw the maps of the pyramid, without what stands for the padding of the image."""
    pyramid = predictor.model.pyramid
    strides = pyramid.strides
    levels = []
    for image in shown:
        pixels = _normalised(predictor, image)
        height, width = pixels.shape[-2:]
        maps = zip(pyramid(pixels), strides, strict=True)
        levels.append([level[0, :, : math.ceil(height / s), : math.ceil(width / s)] for level, s in maps])
    return maps_panel(shown, levels, strides)


@torch.inference_mode()
def _anchors(predictor: ObjectPredictor, images: ObjectImages, shown: list[Image.Image]) -> Figure:
    """Draw the anchors that learn to find each object, in the colour of their stride, around the objects' boxes."""
    from torchvision.models.detection.image_list import ImageList

    tiles: list[Tile | None] = []
    listed: list[dict[str, Any]] = []
    model = predictor.model
    network = model.proposals
    strides = (*model.pyramid.strides, 2 * model.pyramid.strides[-1])
    for number, image in enumerate(shown):
        pixels = _normalised(predictor, image)
        features = list(model.features(pixels).values())
        (anchors,) = network.anchor_generator(ImageList(pixels, [tuple(pixels.shape[-2:])]), features)  # type: ignore[list-item]
        anchors = anchors.cpu()
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
        listed.append(
            {
                "file": images.names[number],
                "input_size": list(pixels.shape[-2:]),
                "objects": boxes.tolist(),
                "anchors": anchors[matched].tolist(),
                "strides": [strides[level] for level in levels],
                "of_anchors": len(anchors),
            }
        )
    drawn = sheet([tiles], note=ANCHORS_NOTE)
    scale = legend([(f"stride {s}", colour_of(level)) for level, s in enumerate(strides)], drawn.width)
    return Figure(
        below(drawn, scale), data={"boxes": "left, top, right, bottom in pixels of the input", "images": listed}
    )


def _attention(predictor: ObjectPredictor, shown: list[Image.Image], results: list[FoundObjects]) -> Figure | None:
    """Draw where the detector looks for the objects it is surest of; None where it finds nothing."""
    rows: list[list[Tile | None]] = []
    what, data = "", {}
    for number, (image, result) in enumerate(zip(shown, results[: len(shown)], strict=True)):
        found = result.detections
        found = found.keep(torch.arange(min(LOOKED_AT, len(found))))
        if not len(found):
            continue
        pixels = _normalised(predictor, image)
        height, width = pixels.shape[-2:]
        filled = F.pad(pixels, (0, -width % PADDED_TO, 0, -height % PADDED_TO))
        boxes = found.scaled(height / image.height, width / image.width).boxes
        maps, what = object_multiples(predictor.model, filled, boxes)
        data[f"multiples_{number}"] = torch.stack([values[:height, :width] for values in maps]).half()
        data |= {f"boxes_{number}": found.boxes, f"scores_{number}": found.scores, f"classes_{number}": found.classes}
        large = enlarge(image)
        found = found.scaled(large.height / image.height, large.width / image.width)
        names = [result.class_names[k] for k in found.classes.tolist()]
        row: list[Tile | None] = [Tile(large, "image")]
        for box, score, name, values in zip(found.boxes, found.scores.tolist(), names, maps, strict=True):
            multiples = values[:height, :width]
            drawn = outlined(attention_map(large, multiples), box[None].numpy())
            row.append(Tile(drawn, f"{name} {percent(score)}\n{peak_of(multiples)}"))
        rows.append(row)
    if not rows:
        return None
    note = f"For each of the objects the detector is surest of, in its box: {what}. All maps have the one scale above."
    return Figure(sheet(rows, note=note, legend=attention_legend()), data=data)


def _normalised(predictor: ObjectPredictor, image: Image.Image) -> torch.Tensor:
    """Return an image as the model takes it: ``(1, C, h, w)``."""
    return predictor.module.normalise(predictor.input_of(image))
