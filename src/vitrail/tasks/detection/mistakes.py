"""What a detector misses and wrongly finds where it says what it is sure of: by image and by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vitrail.tasks.detection.matches import ClassMatches

MOST_IMAGES = 12
"""Images that are kept by name, and drawn."""


@dataclass(frozen=True)
class ImageMistakes:
    """What is wrong in one image.

    Attributes:
        file: the image.
        objects: how many it has, crowds not counted.
        missed: those that are not found.
        false: detections that are no object, or not of that class.
    """

    file: str
    objects: int
    missed: int
    false: int


def sure(one: ClassMatches, threshold: float) -> tuple[int, int]:
    """Return how many detections of a class are objects, and how many are not, from a score on.

    A detection is an object where their boxes (or masks) overlap with an IoU of 0.5 or more.
    """
    said = one.score >= threshold
    return int((said & one.hit[0]).sum()), int((said & ~one.hit[0] & ~one.ignored[0]).sum())


def worst_images(truth: dict[str, Any], matches: list[ClassMatches], threshold: float) -> tuple[ImageMistakes, ...]:
    """Return the images with the most mistakes, the worst first; none without any.

    Args:
        truth: the annotations, as COCO's JSON has them.
        matches: of every class.
        threshold: score from which on a detection is said.
    """
    count = len(truth["images"])
    objects, found, false = (np.zeros(count, dtype=np.int64) for _ in range(3))
    for one in matches:
        said = one.score >= threshold
        objects += one.objects
        found += np.bincount(one.image[said & one.hit[0]], minlength=count)
        false += np.bincount(one.image[said & ~one.hit[0] & ~one.ignored[0]], minlength=count)
    missed = objects - found
    order = np.argsort(-(missed + false), kind="stable")[:MOST_IMAGES]
    return tuple(
        ImageMistakes(truth["images"][n]["file_name"], int(objects[n]), int(missed[n]), int(false[n]))
        for n in order
        if missed[n] + false[n]
    )


__all__ = ["ImageMistakes", "sure", "worst_images"]
