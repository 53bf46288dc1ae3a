"""What a segmenter says of images, and the maps its head gets, as figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vitrail.data.segments import SegmentImages
from vitrail.data.sources import Images
from vitrail.data.transforms import resize
from vitrail.output import say
from vitrail.tasks.segmentation.predictor import PixelPredictor, in_windows
from vitrail.training.runtime import Runtime
from vitrail.visualize import segments as figures
from vitrail.visualize.figure import Figure
from vitrail.visualize.maps import maps_panel
from vitrail.weights.description import Description

MAPS_DRAWN = 3
"""Images whose maps are drawn."""


def draw_segments(model: Any, description: Description, images: Images) -> dict[str, Figure]:
    """Draw what a segmenter says of images and, where masks are known, where it errs; and the maps its head gets."""
    predictor = PixelPredictor(model, description, Runtime.where(model))
    channels = description.preprocessing.channels
    shown = [images.item(number).open(channels) for number in range(len(images))]
    truths = [images.segments(n) if isinstance(images, SegmentImages) else None for n in range(len(images))]
    found = predictor(shown)
    parts = [one.window for one in found if one.window]
    if parts:
        say(in_windows(len(parts), parts[0]))
    names = [Path(name).name for name in images.names]
    classes = [one.classes for one in found]
    panel = figures.panel(shown, truths, classes, description.class_names, names)
    data: dict[str, Any] = {"class_names": list(description.class_names), "files": names}
    for number, (one, truth) in enumerate(zip(classes, truths, strict=True)):
        data[f"classes_{number}"] = one
        data |= {} if truth is None else {f"truth_{number}": truth}
    maps = Figure(_draw_maps(predictor, shown[:MAPS_DRAWN]))
    return {"segments": Figure(panel, data=data), "maps": maps}


@torch.inference_mode()
def _draw_maps(predictor: PixelPredictor, images: list[Image.Image]) -> Image.Image:
    model, levels = predictor.model, []
    for image in images:
        pixels = predictor.input_of(image)
        if predictor.module.window_of(pixels):
            pixels = _shrunk(pixels[0], predictor.module.limit.pixels)[None]
        pixels = predictor.module.normalise(pixels)
        maps = zip(model.maps(pixels), model.levels.strides, strict=True)
        # Without the places that stand for what the image was padded with.
        h, w = pixels.shape[-2:]
        levels.append([level[0, :, : math.ceil(h / stride), : math.ceil(w / stride)] for level, stride in maps])
    return maps_panel(images, levels, model.levels.strides)


def _shrunk(image: torch.Tensor, pixels: int) -> torch.Tensor:
    """Shrink an image uint8 ``(C, H, W)`` to fewer pixels: its maps are drawn, and cannot be made part by part."""
    factor = math.sqrt(pixels / (image.shape[-2] * image.shape[-1]))
    height, width = (max(1, int(side * factor)) for side in image.shape[-2:])
    return resize(image, (height, width))
