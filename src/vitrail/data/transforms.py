"""From a picture to the uint8 tensor a model's task starts from, for training and for evaluation.

Pictures stay uint8 all the way (normalising happens on the device, so that loaders move a quarter of the
bytes), are cut before they are resized, and are resized by torch's own antialiased bicubic kernel. Every
random number comes from torch's global generator, so that whoever seeds it decides what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vitrail.config import ImageAugment, Preprocessing
from vitrail.errors import ConfigError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom of a part of a picture, in pixels."""

BOX_TRIES = 10
"""Random shapes tried until one fits into the picture."""

FIXED_SHARE = 0.875
"""A crop of fixed size keeps at most so much of each side, as 224 of 256 pixels do: else there is nothing to choose."""

MOST_ASPECT = 20
"""A picture longer than so many times its width is cut to that, about its centre, before it is scaled to
cover the input: a picture of 1 x 50,000,000 pixels would grow beyond any memory."""


@dataclass(frozen=True)
class Transform:
    """A picture to a uint8 tensor (C, H, W): cut or resized by ``fit``, then changed by each of ``steps``.

    Attributes:
        fit: makes a uint8 tensor of the final size from a picture.
        steps: uint8 tensor (C, H, W) to uint8 tensor (C, H, W), in this order.
        enough: a shorter side of the picture, in pixels, beyond which detail is lost anyway; None: never.
    """

    fit: Callable[[Image.Image], Tensor]
    steps: tuple[Callable[[Tensor], Tensor], ...] = ()
    enough: int | None = None

    def __call__(self, picture: Image.Image) -> Tensor:
        """Turn a picture of mode RGB or L into a contiguous uint8 tensor (C, H, W)."""
        image = self.fit(picture)
        for step in self.steps:
            image = step(image)
        return image.contiguous()


def train_transform(augment: ImageAugment, preprocessing: Preprocessing) -> Transform:
    """Build what is done to a training picture: crop, flip, colours, RandAugment, erasing, in this order.

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
        share = min(FIXED_SHARE, preprocessing.crop_share)
        return Transform(FixedCrop(size, share), tuple(steps), enough=max(_covered(size, share)))
    crop = RandomCrop(size, augment.crop_scale, augment.crop_ratio)
    return Transform(crop, tuple(steps), enough=crop.enough)


def eval_transform(preprocessing: Preprocessing) -> Transform:
    """Build the picture-to-tensor step of evaluation and prediction; nothing in it is random.

    Raises:
        ConfigError: a setting of ``preprocessing`` cannot work.
    """
    _check_preprocessing(preprocessing)
    return Transform(_evaluation_fit(preprocessing))


@dataclass(frozen=True)
class RandomCrop:
    """A random part of the picture at a random aspect, resized (Szegedy et al. 2015, section 6).

    The part's share of the area is uniform in ``scale``, its width/height log-uniform in ``ratio``. Where no
    such part fits, the largest centred part with an allowed aspect is taken.
    """

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]

    @property
    def enough(self) -> int:
        """Shorter side at which even the smallest part has as many pixels as the output."""
        height, width = self.size
        low, (narrow, wide) = self.scale[0], self.ratio
        return math.ceil(max(height / math.sqrt(low / wide), width / math.sqrt(low * narrow)))

    def __call__(self, picture: Image.Image) -> Tensor:
        """Draw a part of the picture and return it as a uint8 tensor (C, H, W)."""
        width, height = picture.size
        box = draw_box(width, height, self.scale, self.ratio)
        if box is None:
            narrow, wide = self.ratio
            w, h = min(width, max(1, round(height * wide))), min(height, max(1, round(width / narrow)))
            box = _centred(width, height, w, h)
        return resize(to_tensor(picture.crop(box)), self.size)


@dataclass(frozen=True)
class FixedCrop:
    """A random place at a fixed size: scaled as in evaluation, cut anywhere instead of in the centre."""

    size: tuple[int, int]
    crop_share: float

    def __call__(self, picture: Image.Image) -> Tensor:
        """Return a random part of the scaled picture as a uint8 tensor (C, H, W)."""
        image = _cover(picture, *_covered(self.size, self.crop_share))
        height, width = self.size
        down, right = torch.rand(2).tolist()
        top = int(down * (image.shape[1] - height + 1))
        left = int(right * (image.shape[2] - width + 1))
        return image[:, top : top + height, left : left + width]


@dataclass(frozen=True)
class CentreCrop:
    """The centre of the picture, after its shorter side was scaled to ``size / crop_share``."""

    size: tuple[int, int]
    crop_share: float

    def __call__(self, picture: Image.Image) -> Tensor:
        """Return the scaled picture's centre as a uint8 tensor (C, H, W)."""
        image = _cover(picture, *_covered(self.size, self.crop_share))
        left, top, right, bottom = _centred(image.shape[2], image.shape[1], self.size[1], self.size[0])
        return image[:, top:bottom, left:right]


@dataclass(frozen=True)
class Squash:
    """The whole picture, resized without regard to its aspect."""

    size: tuple[int, int]

    def __call__(self, picture: Image.Image) -> Tensor:
        """Return the resized picture as a uint8 tensor (C, H, W)."""
        return resize(to_tensor(picture), self.size)


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
        # The ratio here is height/width: the box is drawn for the transposed picture.
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


def to_tensor(picture: Image.Image) -> Tensor:
    """Copy a picture of mode RGB or L into a uint8 tensor (C, H, W), channels last in memory."""
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a uint8 tensor (C, h, w) to ``size`` (H, W), bicubic and antialiased."""
    if image.shape[1:] == size:
        return image
    return F.interpolate(image[None], size=size, mode="bicubic", antialias=True)[0]


def _evaluation_fit(preprocessing: Preprocessing) -> Callable[[Image.Image], Tensor]:
    if preprocessing.resize == "squash":
        return Squash(preprocessing.image_size)
    return CentreCrop(preprocessing.image_size, preprocessing.crop_share)


def _covered(size: tuple[int, int], crop_share: float) -> tuple[int, int]:
    """Return the height and width of which a crop of ``size`` keeps ``crop_share`` in each direction."""
    return math.floor(size[0] / crop_share), math.floor(size[1] / crop_share)


def _cover(picture: Image.Image, tall: int, wide: int) -> Tensor:
    """Resize the picture, in its own aspect, so that it just covers ``tall`` x ``wide`` pixels."""
    longest = MOST_ASPECT * min(picture.size)
    if max(picture.size) > longest:
        width, height = (min(side, longest) for side in picture.size)
        picture = picture.crop(_centred(*picture.size, width, height))
    width, height = picture.size
    if height * wide <= width * tall:
        return resize(to_tensor(picture), (tall, max(wide, tall * width // height)))
    return resize(to_tensor(picture), (max(tall, wide * height // width), wide))


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
    if not 0 < preprocessing.crop_share <= 1:
        raise ConfigError(f"crop_share must lie above 0 and at most at 1, not {preprocessing.crop_share}")


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
