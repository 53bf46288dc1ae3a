"""Parts of images with a class for every pixel, for training; and whole ones, for evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vitrail.config import JointAugment, Preprocessing
from vitrail.data.segments import VOID
from vitrail.data.transforms import resize, to_tensor
from vitrail.errors import ConfigError

MOST_OF_ONE_CLASS = 0.75
"""A part that shows more than this of one class is drawn anew, as in the published recipes of UperNet and SETR."""
TRIES = 10


@dataclass(frozen=True)
class RandomCut:
    """A random part of a randomly scaled image, and the same of its segments.

    The part is cut out first and only then resized. Where the scaled image is smaller than the part, it stands at a
    random place of it, among the mean colour and void.

    Attributes:
        size: height and width that come out, in pixels.
        scale: smallest and largest factor by which the image is scaled; drawn uniformly.
        short_side: what the image's shorter side is scaled to before that, in pixels; None leaves it.
        fill: of what is beyond the image, one byte a channel.
        flip: probability of a left-right flip.
        steps: what is done to the image alone, uint8 (C, H, W) to the same.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    short_side: int | None = None
    fill: tuple[int, ...] = (0, 0, 0)
    flip: float = 0.5
    steps: tuple[Callable[[Tensor], Tensor], ...] = ()

    def __call__(self, image: Image.Image, segments: np.ndarray) -> tuple[Tensor, Tensor]:
        """Cut a part out of an image of mode RGB or L and its segments (H, W): uint8 (C, h, w) and (h, w)."""
        base = self.short_side / min(image.size) if self.short_side else 1.0
        low, high = self.scale
        factor = base * (low + (high - low) * torch.rand(()).item())
        shown = [_shown(side, factor, most) for side, most in zip(segments.shape, self.size, strict=True)]
        (tall, height), (wide, width) = shown
        top, left = self._place(segments, tall, wide)
        pixels = resize(to_tensor(image.crop((left, top, left + wide, top + tall))), (height, width))
        classes = resize_segments(torch.from_numpy(segments[top : top + tall, left : left + wide]), (height, width))
        pixels, classes = self._on_ground(pixels, classes)
        if torch.rand(()) < self.flip:
            pixels, classes = pixels.flip(-1), classes.flip(-1)
        for step in self.steps:
            pixels = step(pixels)
        return pixels.contiguous(), classes.contiguous()

    def _place(self, segments: np.ndarray, tall: int, wide: int) -> tuple[int, int]:
        """Draw where the part begins, until no class fills nearly all of it."""
        top = left = 0
        for down, right in torch.rand(TRIES, 2).tolist():
            top = int(down * (segments.shape[0] - tall + 1))
            left = int(right * (segments.shape[1] - wide + 1))
            counts = np.bincount(segments[top : top + tall, left : left + wide].ravel(), minlength=VOID + 1)[:VOID]
            if counts.max() <= MOST_OF_ONE_CLASS * counts.sum() and counts.sum():
                break
        return top, left

    def _on_ground(self, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Stand a part that is too small at a random place of one that is large enough."""
        height, width = self.size
        down, right = torch.rand(2).tolist()
        if image.shape[1:] == self.size:
            return image, classes
        top, left = int(down * (height - image.shape[1] + 1)), int(right * (width - image.shape[2] + 1))
        ground = torch.tensor(self.fill[: image.shape[0]], dtype=torch.uint8)[:, None, None].repeat(1, height, width)
        around = torch.full((height, width), VOID, dtype=torch.uint8)
        part = (slice(top, top + image.shape[1]), slice(left, left + image.shape[2]))
        ground[(slice(None), *part)] = image
        around[part] = classes
        return ground, around


@dataclass(frozen=True)
class Whole:
    """The whole image, its shorter side scaled to ``short_side`` where that is given; segments stay as they are."""

    short_side: int | None = None

    def __call__(self, image: Image.Image, segments: np.ndarray) -> tuple[Tensor, Tensor]:
        """Return uint8 (C, h, w) and the segments (H, W), which measure at the image's own size."""
        return scaled(image, self.short_side), torch.from_numpy(segments)


def scaled(image: Image.Image, short_side: int | None) -> Tensor:
    """Return an image as a uint8 tensor (C, H, W), its shorter side scaled to so many pixels; None leaves it."""
    pixels = to_tensor(image)
    if short_side is None:
        return pixels.contiguous()
    factor = short_side / min(image.size)
    height, width = (max(1, round(side * factor)) for side in pixels.shape[1:])
    return resize(pixels, (height, width)).contiguous()


def random_cut(
    augment: JointAugment, preprocessing: Preprocessing, scale: tuple[float, float], short_side: int | None
) -> RandomCut:
    """Build what is done to a training image: scaling, cutting, flip and colours.

    Raises:
        ConfigError: a setting cannot work.
    """
    if not 0 < scale[0] <= scale[1]:
        raise ConfigError(f"scale must be two rising factors above 0, not {scale}")
    if short_side is not None and short_side < 1:
        raise ConfigError(f"short_side must be 1 or more pixels, not {short_side}")
    steps = []
    if augment.color_jitter:
        from torchvision.transforms import v2  # Takes seconds to import, and most recipes do without.

        steps.append(v2.ColorJitter(*(3 * [augment.color_jitter])))
    fill = tuple(round(255 * value) for value in preprocessing.mean)
    return RandomCut(preprocessing.image_size, scale, short_side, fill, augment.flip, tuple(steps))


def resize_segments(segments: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 (h, w) to ``size``, taking the nearest pixel: classes are never mixed."""
    if tuple(segments.shape) == tuple(size):
        return segments
    return F.interpolate(segments[None, None], size=size, mode="nearest-exact")[0, 0]


def _shown(side: int, factor: float, most: int) -> tuple[int, int]:
    """Return how much of a side is cut out, and how long that is once scaled, at most ``most``."""
    taken = min(side, max(1, round(most / factor)))
    return taken, min(most, max(1, round(taken * factor)))
