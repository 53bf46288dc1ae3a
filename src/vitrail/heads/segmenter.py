"""A backbone that says of every pixel which class it shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from vitrail.errors import ConfigError, nearest
from vitrail.heads.convolution import Classify, ConvNormReLU, resize_to
from vitrail.heads.multi_scale import MultiScaleFeatures
from vitrail.heads.setr import MultiLevel, Naive, Progressive
from vitrail.heads.upernet import UperNet
from vitrail.layers.patches import pad_to_patches
from vitrail.models.backbone import Backbone, freeze_unused
from vitrail.settings import Dense


class LinearHead(nn.Module):
    """A linear map of every level, added up at the finest: with one level, the plainest head there is."""

    def __init__(self, channels: tuple[int, ...], num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.classify = nn.ModuleList(Classify(number, num_classes, dropout) for number in channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Score every place of the finest map: ``[(B, C_i, h_i, w_i)]`` to ``(B, K, h_0, w_0)``."""
        size = (maps[0].shape[-2], maps[0].shape[-1])
        scores = [resize_to(classify(level), size) for classify, level in zip(self.classify, maps, strict=True)]
        return sum(scores[1:], scores[0])


class AuxiliaryHead(nn.Module):
    """A convolution and a linear map on one level: 3x3 beside UperNet (Swin, appendix A2.3), 1x1 beside SETR's."""

    def __init__(self, inputs: int, num_classes: int, width: int, kernel: int, dense: Dense) -> None:
        super().__init__()
        self.conv = ConvNormReLU(inputs, width, kernel, dense.norm)
        self.classify = Classify(width, num_classes, dense.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, inputs, h, w)`` to ``(B, K, h, w)``."""
        return self.classify(self.conv(features))


@dataclass(frozen=True)
class Kind:
    """How a head is built.

    Attributes:
        build: makes it of levels, number of classes and settings.
        auxiliary: which of the levels are scored as well while training.
        levels: how many maps it takes from a plain backbone.
        rescale: whether those are brought to several strides.
    """

    build: Callable[[MultiScaleFeatures, int, Dense], nn.Module]
    auxiliary: slice
    levels: int = 4
    rescale: bool = False


def _upernet(levels: MultiScaleFeatures, num_classes: int, dense: Dense) -> nn.Module:
    return UperNet(levels.channels, num_classes, dense.width, dense.norm, dense.dropout)


def _naive(levels: MultiScaleFeatures, num_classes: int, dense: Dense) -> nn.Module:
    return Naive(levels.channels, num_classes, dense.width, dense.norm, dense.dropout)


def _progressive(levels: MultiScaleFeatures, num_classes: int, dense: Dense) -> nn.Module:
    return Progressive(levels.channels, num_classes, dense.width, dense.norm, dense.dropout, stride=levels.strides[-1])


def _multi_level(levels: MultiScaleFeatures, num_classes: int, dense: Dense) -> nn.Module:
    return MultiLevel(levels.channels, num_classes, dense.width, dense.norm, dense.dropout, levels.strides)


def _linear(levels: MultiScaleFeatures, num_classes: int, dense: Dense) -> nn.Module:
    return LinearHead(levels.channels, num_classes, dense.dropout)


# Beside UperNet the map below the last is scored as well (Swin, appendix A2.3), beside SETR's decoders all lower ones.
KINDS: dict[str, Kind] = {
    "upernet": Kind(_upernet, slice(-2, -1), rescale=True),
    "setr_naive": Kind(_naive, slice(None, -1)),
    "setr_pup": Kind(_progressive, slice(None, -1)),
    "setr_mla": Kind(_multi_level, slice(None)),
    "linear": Kind(_linear, slice(0), levels=1),
}


class Segmenter(nn.Module):
    """Backbone, levels and head: images to scores of every pixel.

    Args:
        backbone: any of vitrail's.
        num_classes: K.
        dense: the head's name and shape. Auxiliary heads are half as wide, and there are none at weight 0.

    Raises:
        ConfigError: there is no such head, or it cannot stand on this backbone.
    """

    def __init__(self, backbone: Backbone, num_classes: int, dense: Dense) -> None:
        super().__init__()
        if dense.head not in KINDS:
            raise ConfigError(f"there is no head {dense.head!r}{nearest(dense.head, KINDS)} All: {', '.join(KINDS)}")
        kind = KINDS[dense.head]
        self.num_classes = num_classes
        self.backbone = backbone
        self.levels = MultiScaleFeatures(backbone, kind.levels, kind.rescale, dense.norm)
        self.head = kind.build(self.levels, num_classes, dense)
        self.scored = tuple(range(len(self.levels.channels))[kind.auxiliary]) if dense.auxiliary else ()
        kernel = 3 if dense.head == "upernet" else 1
        self.auxiliary = nn.ModuleList(
            AuxiliaryHead(self.levels.channels[level], num_classes, dense.width // 2, kernel, dense)
            for level in self.scored
        )
        freeze_unused(backbone, self.levels.blocks)

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.backbone.depth

    def forward(self, images: Tensor) -> Tensor:
        """Score every pixel: ``(B, C, H, W)`` of any height and width to ``(B, K, H, W)``."""
        return self.to_pixels(self.head(self.maps(images)), images)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the levels of images, which are padded to whole places of the coarsest one."""
        return self.levels(self.backbone, pad_to_patches(images, self.coarsest))

    def all_scores(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the head's scores and those of the auxiliary heads, each ``(B, K, H, W)``."""
        maps = self.maps(images)
        extra = [head(maps[level]) for head, level in zip(self.auxiliary, self.scored, strict=True)]
        return self.to_pixels(self.head(maps), images), [self.to_pixels(scores, images) for scores in extra]

    def to_pixels(self, scores: Tensor, images: Tensor) -> Tensor:
        """Bring scores of the padded images to the images' pixels."""
        height, width = images.shape[-2:]
        padded = (height + -height % self.coarsest, width + -width % self.coarsest)
        return resize_to(scores, padded)[..., :height, :width]

    @property
    def coarsest(self) -> int:
        """Pixels between two places of the coarsest map there is, the backbone's own ones included."""
        return round(max(*self.levels.strides, *self.backbone.strides))

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to; what stands on the backbone is above all of it."""
        if name.startswith("backbone."):
            return self.backbone.layer_of(name.removeprefix("backbone."))
        return self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {f"backbone.{name}" for name in self.backbone.no_weight_decay()}


def build(backbone: Backbone, dense: Dense, num_classes: int) -> Segmenter:
    """Put a segmentation head on a backbone, as `vitrail.heads.registry.put_head` asks.

    Raises:
        ConfigError: a setting is for detection, or the head cannot stand on this backbone.
    """
    if dense.windows or dense.pyramid != "auto":
        raise ConfigError(
            "--dense.windows and --dense.pyramid are for detection; a segmenter's head says what it takes"
        )
    return Segmenter(backbone, num_classes, dense)
