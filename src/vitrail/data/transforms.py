"""From an image to the uint8 tensor a model's task starts from, for training and for evaluation.

Images stay uint8 all the way (normalising happens on the device, so that loaders move a quarter of the
bytes), are cut before they are resized, and are resized by torch's own antialiased kernels. Every
random number comes from torch's global generator, so that whoever seeds it decides what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vitrail.config import ImageAugment, Preprocessing
from vitrail.errors import ConfigError

Interpolation = Literal["bicubic", "bilinear"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom of a part of an image, in pixels."""

BOX_TRIES = 10
"""Random shapes tried until one fits into the image."""

FIXED_SHARE = 0.875
"""A crop of fixed size keeps at most so much of each side, as 224 of 256 pixels do: else there is nothing to choose."""

MOST_ASPECT = 20
"""An image longer than so many times its width is cut to that, about its centre, before it is scaled to
cover the input: an image of 1 x 50,000,000 pixels would grow beyond any memory."""


@dataclass(frozen=True)
class Transform:
    """An image to a uint8 tensor (C, H, W): cut or resized by ``fit``, then changed by each of ``steps``.

    Attributes:
        fit: makes a uint8 tensor of the final size from an image.
        steps: uint8 tensor (C, H, W) to uint8 tensor (C, H, W), in this order.
        enough: a shorter side of the image, in pixels, beyond which detail is lost anyway; None: never.
    """

    fit: Callable[[Image.Image], Tensor]
    steps: tuple[Callable[[Tensor], Tensor], ...] = ()
    enough: int | None = None

    def __call__(self, image: Image.Image) -> Tensor:
        """Turn an image of mode RGB or L into a contiguous uint8 tensor (C, H, W)."""
        pixels = self.fit(image)
        for step in self.steps:
            pixels = step(pixels)
        return pixels.contiguous()


def train_transform(augment: ImageAugment, preprocessing: Preprocessing) -> Transform:
    """Build what is done to a training image: crop, flip, colours, RandAugment, erasing, in this order.

    Raises:
        ConfigError: a setting of ``augment`` or ``preprocessing`` cannot work.
    """
    _check_preprocessing(preprocessing)
    _check_augment(augment)
    steps: list[Callable[[Tensor], Tensor]] = []
    if augment.flip:
        steps.append(Flip(augment.flip))
    if augment.color_jitter or augment.rand_augment:
        # Imported here: it takes seconds, and most recipes do without.
        from torchvision.transforms import InterpolationMode, v2

        if augment.color_jitter:
            steps.append(v2.ColorJitter(*(3 * [augment.color_jitter])))
        if augment.rand_augment:
            fill = [round(255 * value) for value in preprocessing.mean]
            operations, magnitude = augment.rand_augment_ops, augment.rand_augment
            steps.append(v2.RandAugment(operations, magnitude, 31, InterpolationMode.BILINEAR, fill))
    if augment.erasing:
        steps.append(Erase(augment.erasing))
    size = preprocessing.image_size
    if augment.crop == "none":
        return Transform(_evaluation_fit(preprocessing), tuple(steps))
    if augment.crop == "fixed":
        share = min(FIXED_SHARE, preprocessing.crop_fraction)
        fixed = FixedCrop(size, share, preprocessing.interpolation)
        return Transform(fixed, tuple(steps), enough=max(_covered(size, share)))
    crop = RandomCrop(size, augment.crop_scale, augment.crop_ratio, preprocessing.interpolation)
    return Transform(crop, tuple(steps), enough=crop.enough)


def eval_transform(preprocessing: Preprocessing) -> Transform:
    """Build the image-to-tensor step of evaluation and prediction; nothing in it is random.

    Raises:
        ConfigError: a setting of ``preprocessing`` cannot work.
    """
    _check_preprocessing(preprocessing)
    return Transform(_evaluation_fit(preprocessing))


@dataclass(frozen=True)
class RandomCrop:
    """A random part of the image at a random aspect, resized (Szegedy et al. 2015, section 6).

    The part's share of the area is uniform in ``scale``, its width/height log-uniform in ``ratio``. Where no
    such part fits, the largest centred part with an allowed aspect is taken.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]
    interpolation: Interpolation = "bicubic"

    @property
    def enough(self) -> int:
        """Shorter side at which even the smallest part has as many pixels as the output."""
        height, width = self.size
        low, (narrow, wide) = self.scale[0], self.ratio
        return math.ceil(max(height / math.sqrt(low / wide), width / math.sqrt(low * narrow)))

    def __call__(self, image: Image.Image) -> Tensor:
        """Draw a part of the image and return it as a uint8 tensor (C, H, W)."""
        width, height = image.size
        box = draw_box(width, height, self.scale, self.ratio)
        if box is None:
            narrow, wide = self.ratio
            w, h = min(width, max(1, round(height * wide))), min(height, max(1, round(width / narrow)))
            box = _centred(width, height, w, h)
        return resize(to_tensor(image.crop(box)), self.size, self.interpolation)


@dataclass(frozen=True)
class FixedCrop:
    """A random place at a fixed size: scaled as in evaluation, cut anywhere instead of in the centre."""

    size: tuple[int, int]
    crop_fraction: float
    interpolation: Interpolation = "bicubic"

    def __call__(self, image: Image.Image) -> Tensor:
        """Return a random part of the scaled image as a uint8 tensor (C, H, W)."""
        pixels = _cover(image, *_covered(self.size, self.crop_fraction), self.interpolation)
        height, width = self.size
        down, right = torch.rand(2).tolist()
        top = int(down * (pixels.shape[1] - height + 1))
        left = int(right * (pixels.shape[2] - width + 1))
        return pixels[:, top : top + height, left : left + width]


@dataclass(frozen=True)
class CentreCrop:
    """The centre of the image, after its shorter side was scaled to ``size / crop_fraction``."""

    size: tuple[int, int]
    crop_fraction: float
    interpolation: Interpolation = "bicubic"

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the scaled image's centre as a uint8 tensor (C, H, W)."""
        pixels = _cover(image, *_covered(self.size, self.crop_fraction), self.interpolation)
        left, top, right, bottom = _centred(pixels.shape[2], pixels.shape[1], self.size[1], self.size[0])
        return pixels[:, top:bottom, left:right]


@dataclass(frozen=True)
class Squash:
    """The whole image, resized without regard to its aspect."""

    size: tuple[int, int]
    interpolation: Interpolation = "bicubic"

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the resized image as a uint8 tensor (C, H, W)."""
        return resize(to_tensor(image), self.size, self.interpolation)


@dataclass(frozen=True)
class Flip:
    """A left-right flip with a probability."""

    probability: float

    def __call__(self, image: Tensor) -> Tensor:
        """Flip the tensor (C, H, W), or leave it."""
        return image.flip(-1) if torch.rand(()) < self.probability else image


@dataclass(frozen=True)
class Erase:
    """One rectangle replaced by uniform noise (Zhong et al. 2020, "Random Erasing", algorithm 1, RE-R).

    Its share of the area is uniform in ``scale``, its height/width log-uniform in ``ratio``. Where no
    such rectangle fits, nothing is erased.
    """

    probability: float
    scale: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)

    def __call__(self, image: Tensor) -> Tensor:
        """Erase a part of the uint8 tensor (C, H, W), or leave it."""
        if torch.rand(()) >= self.probability:
            return image
        # The ratio here is height/width: the box is drawn for the transposed image.
        box = draw_box(image.shape[1], image.shape[2], self.scale, self.ratio)
        if box is None:
            return image
        top, left, bottom, right = box
        image = image.clone()
        part = image[:, top:bottom, left:right]
        part.copy_(torch.randint(256, part.shape, dtype=torch.uint8))
        return image


def draw_box(width: int, height: int, scale: tuple[float, float], ratio: tuple[float, float]) -> Box | None:
    """Draw a box within ``width`` x ``height`` from torch's global generator; None where no shape fits.

    Args:
        width: pixels from left to right.
        height: pixels from top to bottom.
        scale: smallest and largest share of the area; drawn uniformly.
        ratio: smallest and largest box width / box height; drawn log-uniformly.
    """
    (low, high), (narrow, wide) = scale, map(math.log, ratio)
    shares, shapes = torch.rand(2, BOX_TRIES).tolist()
    right, down = torch.rand(2).tolist()
    for share, shape in zip(shares, shapes, strict=True):
        area = width * height * (low + (high - low) * share)
        aspect = math.exp(narrow + (wide - narrow) * shape)
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(right * (width - w + 1)), int(down * (height - h + 1))
            return left, top, left + w, top + h
    return None


def to_tensor(image: Image.Image) -> Tensor:
    """Copy an image of mode RGB or L into a uint8 tensor (C, H, W), channels last in memory."""
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def resize(image: Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic") -> Tensor:
    """Resize a uint8 tensor (C, h, w) to ``size`` (H, W), antialiased."""
    if image.shape[1:] == size:
        return image
    return F.interpolate(image[None], size=size, mode=interpolation, antialias=True)[0]


def _evaluation_fit(preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    if preprocessing.resize == "squash":
        return Squash(preprocessing.image_size, preprocessing.interpolation)
    return CentreCrop(preprocessing.image_size, preprocessing.crop_fraction, preprocessing.interpolation)


def _covered(size: tuple[int, int], crop_fraction: float) -> tuple[int, int]:
    """Return the height and width of which a crop of ``size`` keeps ``crop_fraction`` in each direction."""
    return math.floor(size[0] / crop_fraction), math.floor(size[1] / crop_fraction)


def _cover(image: Image.Image, tall: int, wide: int, interpolation: Interpolation) -> Tensor:
    """Resize the image, in its own aspect, so that it just covers ``tall`` x ``wide`` pixels."""
    longest = MOST_ASPECT * min(image.size)
    if max(image.size) > longest:
        width, height = (min(side, longest) for side in image.size)
        image = image.crop(_centred(*image.size, width, height))
    width, height = image.size
    if height * wide <= width * tall:
        return resize(to_tensor(image), (tall, max(wide, tall * width // height)), interpolation)
    return resize(to_tensor(image), (max(tall, wide * height // width), wide), interpolation)


def _centred(width: int, height: int, w: int, h: int) -> Box:
    left, top = round((width - w) / 2), round((height - h) / 2)
    return left, top, left + w, top + h


def _check_preprocessing(preprocessing: Preprocessing) -> None:
    if min(preprocessing.image_size) < 1:
        raise ConfigError(f"image_size {preprocessing.image_size} must be two whole numbers above 0")
    if preprocessing.channels not in (1, 3):
        raise ConfigError(f"channels must be 3 for colour or 1 for grey, not {preprocessing.channels}")
    if not preprocessing.channels == len(preprocessing.mean) == len(preprocessing.std):
        raise ConfigError(
            f"mean and std need one value for each of the {preprocessing.channels} channels, "
            f"not {len(preprocessing.mean)} and {len(preprocessing.std)}"
        )
    if not 0 < preprocessing.crop_fraction <= 1:
        raise ConfigError(f"crop_fraction must lie above 0 and at most at 1, not {preprocessing.crop_fraction}")


def _check_augment(augment: ImageAugment) -> None:
    if not 0 < augment.crop_scale[0] <= augment.crop_scale[1] <= 1:
        raise ConfigError(f"crop_scale must be two rising shares within 0 to 1, not {augment.crop_scale}")
    if not 0 < augment.crop_ratio[0] <= augment.crop_ratio[1]:
        raise ConfigError(f"crop_ratio must be two rising numbers above 0, not {augment.crop_ratio}")
    for name in ("flip", "erasing"):
        if not 0 <= getattr(augment, name) <= 1:
            raise ConfigError(f"{name} is a probability, within 0 to 1, not {getattr(augment, name)}")
    if not 0 <= augment.rand_augment <= 30:
        raise ConfigError(f"rand_augment must lie within 1 to 30, or be 0 for off, not {augment.rand_augment}")
    if augment.color_jitter < 0:
        raise ConfigError(f"color_jitter must be 0 (off) or above, not {augment.color_jitter}")


__all__ = ["Transform", "eval_transform", "resize", "to_tensor", "train_transform"]
