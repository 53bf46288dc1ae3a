"""Learning to find objects: their classes, boxes and masks."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.data.objects import Objects
from vitrail.heads.detections import Detections
from vitrail.tasks.loss import SupervisedLoss

PADDED_TO = 32


class Detection(SupervisedLoss):
    """The sum of a detector's losses.

    Args:
        model: a `vitrail.heads.mask_rcnn.RegionDetector`, or what is called like one.
        preprocessing: how its images are normalised.
    """

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Return ``loss`` and its parts for ``image`` (B, C, H, W) uint8, ``size`` (B, 2) and ``objects``."""
        sizes = sizes_of(batch["size"])
        images = self.normalise(batch["image"])
        for image, (height, width) in zip(images, sizes, strict=True):
            # What fills an image up is its mean colour to the model.
            image[:, height:] = 0
            image[:, :, width:] = 0
        targets = [target_of(objects.to(images.device)) for objects in batch["objects"]]
        losses = self.model(images, sizes, targets)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    @torch.no_grad()
    def find(self, batch: dict[str, Any]) -> list[Detections]:
        """Find the objects in each image of a batch, in pixels of the image itself.

        Each image is looked at alone, filled up to a multiple of 32: what is found in it does not depend on the
        images that happen to be in its batch, nor on how many processes share them out.
        """
        found = []
        for image, size, original in zip(
            batch["image"], sizes_of(batch["size"]), sizes_of(batch["original"]), strict=True
        ):
            height, width = size
            inside = self.normalise(image[None, :, :height, :width])
            filled = F.pad(inside, (0, -width % PADDED_TO, 0, -height % PADDED_TO))
            found += [one.scaled(original[0] / height, original[1] / width) for one in self.model(filled, [size])]
        return found


def target_of(objects: Objects) -> dict[str, Tensor]:
    """Return what a detector learns from: ``boxes`` (n, 4), ``labels`` (n,) from 1 and ``masks`` (n, H, W)."""
    return {"boxes": objects.boxes, "labels": objects.classes + 1, "masks": objects.masks}


def sizes_of(sizes: Tensor) -> list[tuple[int, int]]:
    """Return heights and widths ``(B, 2)`` as plain numbers."""
    return [(height, width) for height, width in sizes.tolist()]
