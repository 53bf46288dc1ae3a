"""Maps of one width at strides 4, 8, 16 and 32, whatever the backbone."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.heads.convolution import ChannelNorm, new_norm, resize_to
from vitrail.heads.multi_scale import MultiScaleFeatures
from vitrail.models.backbone import Backbone, freeze_unused
from vitrail.models.vit_windows import windowed_map

PyramidKind = Literal["auto", "fpn", "simple", "blocks"]
STRIDES = (4, 8, 16, 32)
NORM_EPS = 1e-6


class Pyramid(nn.Module):
    """A backbone and what makes four maps of one width of it.

    ``fpn``: a feature pyramid network (Lin et al. 2017) over the stages of a Swin or BiT, each under a LayerNorm.
    ``simple``: strides 4, 8, 16 and 32 from the last map of a plain backbone alone (Li et al. 2022, ViTDet, section 3).
    ``blocks``: a feature pyramid network over four evenly spaced blocks of a plain backbone, up- or downsampled (Li et
    al. 2021, Benchmarking Detection Transfer Learning, section 2, which MAE's detection follows).

    Args:
        backbone: any of vitrail's.
        width: channels of every map.
        kind: as above; auto: fpn where the backbone has stages, else simple.
        group_norm: normalise after each convolution of the feature pyramid network.
        windows: of a plain backbone, attention within windows of so many tokens but for four blocks; 0 is global.

    Attributes:
        strides: pixels between two neighbouring places of each map.

    Raises:
        ConfigError: the kind does not fit the backbone.
    """

    strides = STRIDES

    def __init__(
        self, backbone: Backbone, width: int, kind: PyramidKind = "auto", group_norm: bool = False, windows: int = 0
    ) -> None:
        super().__init__()
        plain = backbone.is_plain
        kind = ("simple" if plain else "fpn") if kind == "auto" else kind
        if plain == (kind == "fpn"):
            fitting = "simple and blocks" if plain else "fpn"
            raise ConfigError(f"this backbone has {len(backbone.strides)} stages, which takes the pyramid {fitting}")
        if windows and kind != "simple":
            raise ConfigError("windows are for a plain ViT with the pyramid simple")
        self.backbone = backbone
        self.windows = windows
        self.levels = None if kind == "simple" else MultiScaleFeatures(backbone)
        self.join = Simple(backbone, width) if self.levels is None else _network(self.levels, width, group_norm)
        freeze_unused(backbone, () if self.levels is None else self.levels.blocks)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps of images ``(B, C, H, W)``, ``(B, width, h, w)`` each, finest first.

        Height and width are those of the image, filled up to a multiple of 32, by the stride.
        """
        height, width = images.shape[-2:]
        images = F.pad(images, (0, -width % STRIDES[-1], 0, -height % STRIDES[-1]))
        sizes = [(images.shape[-2] // stride, images.shape[-1] // stride) for stride in STRIDES]
        if self.levels is None:
            maps = self.join(self._last_map(images), sizes)
        else:
            levels = self.levels(self.backbone, images)
            # Backbones whose stages have other strides are brought to these.
            fitted = {str(i): resize_to(level, size) for i, (level, size) in enumerate(zip(levels, sizes, strict=True))}
            maps = list(self.join(fitted).values())
        return maps

    def _last_map(self, images: Tensor) -> Tensor:
        return (
            windowed_map(self.backbone, images, self.windows)
            if self.windows
            else self.backbone.feature_maps(images)[-1]
        )

    @property
    def depth(self) -> int:
        """Number of blocks of the backbone."""
        return self.backbone.depth

    def layer_of(self, name: str) -> int:
        """Return the layer a parameter belongs to; the pyramid is above all of the backbone."""
        if name.startswith("backbone."):
            return self.backbone.layer_of(name.removeprefix("backbone."))
        return self.depth + 1

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that should not decay."""
        return {f"backbone.{name}" for name in self.backbone.no_weight_decay()}


class Simple(nn.Module):
    """The simple feature pyramid: each map by itself from the last one, by transposed convolution or pooling."""

    def __init__(self, backbone: Backbone, width: int) -> None:
        super().__init__()
        channels, stride = backbone.channels[-1], backbone.strides[-1]
        self.levels = nn.ModuleList(_level(channels, round(math.log2(stride / target)), width) for target in STRIDES)

    def forward(self, last: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
        """``(B, C, h, w)`` to a map of each of the sizes."""
        return [resize_to(level(last), size) for level, size in zip(self.levels, sizes, strict=True)]


def _level(channels: int, doublings: int, width: int) -> nn.Sequential:
    """Double or halve a map so often, halving its channels as often as it is doubled, then 1x1 and 3x3."""
    layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True) for _ in range(-doublings)]
    for number in range(max(0, doublings)):
        if number:
            layers += [ChannelNorm(channels, eps=NORM_EPS), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    layers += [nn.Conv2d(channels, width, 1, bias=False), ChannelNorm(width, eps=NORM_EPS)]
    layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), ChannelNorm(width, eps=NORM_EPS)]
    return nn.Sequential(*layers)


def _network(levels: MultiScaleFeatures, width: int, group_norm: bool) -> nn.Module:
    from torchvision.ops import FeaturePyramidNetwork  # Takes seconds to import.

    norm = (lambda channels: new_norm("group", channels)) if group_norm else None
    return FeaturePyramidNetwork(list(levels.channels), width, norm_layer=norm)


__all__ = ["STRIDES", "Pyramid", "Simple"]
