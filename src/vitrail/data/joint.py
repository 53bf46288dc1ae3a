"""One change of geometry for an image, its boxes and its masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from vitrail.config import JointAugment
from vitrail.data.objects import Objects
from vitrail.data.transforms import to_tensor
from vitrail.errors import ConfigError

Jitter = Literal["none", "multiscale", "large", "crop"]

SMALLEST_SIDE = 1.0
"""An object of which a cut leaves less than so many pixels of height or width is left out."""


@dataclass(frozen=True)
class JointTransform:
    """An image and its objects, resized and, for training, changed at random.

    The shorter side becomes ``size`` pixels, or less where the longer one would exceed ``longest`` times that.

    Attributes:
        size: of the shorter side, in pixels.
        longest: the longer side is at most so many times ``size``.
        jitter: none; multiscale: the size is multiplied by a factor; large: large-scale jitter (Ghiasi et al. 2021,
            Simple Copy-Paste, section 3): the image fitted into a square of ``size``, scaled by the factor, and
            cut to that square at random, or filled up to it; crop: as multiscale, then cut to at most that square.
        scale: smallest and largest factor; drawn uniformly.
        flip: probability of a left-right flip.
        color_jitter: strength of the change of brightness, contrast and saturation; 0 is off.
    """

    size: int
    longest: float = 5 / 3
    jitter: Jitter = "none"
    scale: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    color_jitter: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.longest < 1:
            raise ConfigError(f"image_size must be 1 or more, and longest too, not {self.size} and {self.longest}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"jitter_scale must be two rising numbers above 0, not {self.scale}")

    def __call__(self, image: Image.Image, objects: Objects) -> tuple[Tensor, Objects]:
        """Return the image as uint8 (C, H, W) and its objects there."""
        # Imported here: it takes seconds, and other tasks do without.
        from torchvision import tv_tensors
        from torchvision.transforms.v2 import functional as change

        width, height = image.size
        pixels: Any = tv_tensors.Image(to_tensor(image))
        format_ = tv_tensors.BoundingBoxFormat.XYXY
        canvas: Any = {"format": format_, "canvas_size": (height, width)}
        boxes: Any = tv_tensors.BoundingBoxes(objects.boxes, **canvas)
        together = (pixels, boxes, tv_tensors.Mask(objects.masks))
        size = self._size(height, width)
        together = tuple(change.resize(part, list(size), antialias=True) for part in together)
        if self.jitter in ("large", "crop"):
            cut = _draw_cut(size, self.size)
            together = tuple(change.crop(part, *cut) for part in together)
        if self.jitter == "large":
            right, below = (self.size - side for side in reversed(together[0].shape[-2:]))
            together = tuple(change.pad(part, [0, 0, right, below]) for part in together)
        if self.flip and torch.rand(()) < self.flip:
            together = tuple(change.horizontal_flip(part) for part in together)
        pixels, boxes, masks = (part.as_subclass(Tensor) for part in together)
        return self._colours(pixels).contiguous(), visible(Objects(boxes, objects.classes, masks))

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Draw the height and width that the whole image is resized to."""
        low, high = self.scale
        drawn = low + (high - low) * torch.rand(()).item() if self.jitter != "none" else 1.0
        if self.jitter == "large":
            factor = drawn * self.size / max(height, width)
        else:
            factor = drawn * min(self.size / min(height, width), self.longest * self.size / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))

    def _colours(self, image: Tensor) -> Tensor:
        if not self.color_jitter:
            return image
        from torchvision.transforms import v2

        return v2.ColorJitter(*(3 * [self.color_jitter]))(image)


def training_transform(size: int, dense: Any, augment: JointAugment) -> JointTransform:
    """Return what training images go through, by the options of a detector and what is done to every image.

    Raises:
        ConfigError: a setting cannot work.
    """
    return JointTransform(size, dense.longest, dense.jitter, dense.jitter_scale, augment.flip, augment.color_jitter)


def visible(objects: Objects) -> Objects:
    """Leave out the objects of which a cut has left nothing: no box, or no pixel of the mask."""
    left, top, right, bottom = objects.boxes.unbind(1)
    has_box = (right - left >= SMALLEST_SIDE) & (bottom - top >= SMALLEST_SIDE)
    return objects.keep(has_box & (objects.masks > 0).flatten(1).any(dim=1))


def _draw_cut(size: tuple[int, int], most: int) -> tuple[int, int, int, int]:
    """Draw a part of at most ``most`` x ``most`` pixels: top, left, height, width."""
    down, right = torch.rand(2).tolist()
    height, width = (min(side, most) for side in size)
    return int(down * (size[0] - height + 1)), int(right * (size[1] - width + 1)), height, width


__all__ = ["JointTransform", "training_transform", "visible"]
