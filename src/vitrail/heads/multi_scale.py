"""A backbone's maps at several strides, whatever kind of backbone it is."""

from __future__ import annotations

import math

from torch import Tensor, nn

from vitrail.heads.convolution import ChannelNorm, Norm, new_norm
from vitrail.models.backbone import Backbone, spread

FINEST_STRIDE = 4
NORM_EPS = 1e-6  # As a ViT's own norms; Swin's have 1e-5.


class MultiScaleFeatures(nn.Module):
    """Maps of a backbone, finest first, each under a LayerNorm of its own.

    A backbone of several stages (Swin, BiT) gives a map for each stage, normalised as in the Swin paper's dense models.
    A plain one (ViT, MAE's encoder, a hybrid) gives its tokens after ``count`` evenly spaced blocks, the last being the
    last one, or after every block where it has fewer. With ``rescale`` those are brought to strides about 4, 8, 16 and
    32 by transposed convolutions and max-pooling (BEiT, Bao et al. 2022, and MAE's semantic segmentation); else all
    keep the backbone's stride, as SETR wants them.

    Args:
        backbone: whose maps they are; it is not kept.
        count: how many maps of a plain backbone.
        rescale: whether a plain backbone's maps are brought to several strides.
        norm: what stands between two transposed convolutions.

    Attributes:
        channels: of each map.
        strides: pixels between two neighbouring places of each map.
        blocks: of a plain backbone, after which the maps are taken.
    """

    def __init__(self, backbone: Backbone, count: int = 4, rescale: bool = True, norm: Norm = "group") -> None:
        super().__init__()
        plain = backbone.is_plain
        self.blocks = spread(backbone.depth, min(count, backbone.depth)) if plain else ()
        copies = len(self.blocks) or 1
        self.channels = tuple(backbone.channels) * copies
        strides = tuple(backbone.strides) * copies
        self.norms = nn.ModuleList(ChannelNorm(channels, eps=NORM_EPS) for channels in self.channels)
        first = round(math.log2(strides[0] / FINEST_STRIDE))
        doublings = [first - level if plain and rescale else 0 for level in range(len(strides))]
        self.rescale = nn.ModuleList(
            Rescale(channels, times, norm) for channels, times in zip(self.channels, doublings, strict=True)
        )
        self.strides = tuple(stride / 2**times for stride, times in zip(strides, doublings, strict=True))

    def forward(self, backbone: Backbone, images: Tensor) -> list[Tensor]:
        """Return the maps of images ``(B, C, H, W)``: ``(B, C_i, H / s_i, W / s_i)`` each."""
        maps = backbone.feature_maps(images, self.blocks)
        return [rescale(norm(level)) for level, norm, rescale in zip(maps, self.norms, self.rescale, strict=True)]


class Rescale(nn.Sequential):
    """Double a map's height and width so many times by transposed convolutions, or halve them by max-pooling.

    Args:
        channels: of the map; they stay.
        doublings: how often; below 0 for halving.
        norm: before the GELU that stands between two transposed convolutions.
    """

    def __init__(self, channels: int, doublings: int, norm: Norm = "group") -> None:
        layers: list[nn.Module] = [nn.MaxPool2d(2, ceil_mode=True) for _ in range(-doublings)]
        for number in range(doublings):
            if number:
                layers += [new_norm(norm, channels), nn.GELU()]
            layers.append(nn.ConvTranspose2d(channels, channels, 2, stride=2))
        super().__init__(*layers)
