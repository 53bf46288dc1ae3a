"""What ``vitrail predict`` leaves behind of a segmenter: index images and overlays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vitrail.data.segments import Labelling
from vitrail.heads.dense import dense_of
from vitrail.tasks.segmentation.predictor import PixelClasses
from vitrail.visualize import segments as figures
from vitrail.weights.description import Description


@dataclass(frozen=True)
class Segments:
    """What a segmenter says of one image.

    Attributes:
        file: the image.
        mask: where the index image of its own size was written, with the values of the masks it learned from.
        overlay: where the image with the classes laid over it was written.
        classes: the classes found and their share of the pixels, largest first.
        error: why the image could not be read, if it could not.
        window: height and width of the windows by which the image was scored since it is large; None if it is not.
    """

    file: str
    mask: str = ""
    overlay: str = ""
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    window: tuple[int, int] | None = None


def write_segments(name: str, image: Image.Image, found: PixelClasses, description: Description, out: Path) -> Segments:
    """Write an image's classes uint8 ``(H, W)`` as ``OUT.png`` and laid over it as ``OUT_overlay.png``.

    The index image holds the values of the masks the model learned from, under a palette of the classes' colours.
    """
    names, classes = description.class_names, found.classes
    labelling = Labelling(dense_of(description.model).ignore, len(names))
    colours = figures.palette(len(names))
    values = labelling.to_values(classes)
    places = dict(zip(labelling.to_values(np.arange(len(names))).tolist(), colours, strict=True))
    mask, drawn = out.with_name(f"{out.name}.png"), out.with_name(f"{out.name}_overlay.png")
    figures.index_image(values, [places.get(value, (0, 0, 0)) for value in range(256)]).save(mask)
    figures.overlay(image, classes, colours).save(drawn)
    return Segments(name, str(mask), str(drawn), found.shares(), window=found.window)
