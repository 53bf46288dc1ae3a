"""The decoders of SETR (Zheng et al. 2021, Rethinking Semantic Segmentation ... with Transformers)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vitrail.errors import ConfigError
from vitrail.heads.convolution import Classify, ConvNormReLU, Norm, resize_to


class Naive(nn.Module):
    """A 1x1 convolution with norm and ReLU, then a linear map, on the last map (section 3.3, (1)).

    It is also the auxiliary head of all three decoders.

    Args:
        channels: of each map that comes in.
        num_classes: K.
        width: channels inside; 256 here, as in the published models.
        norm: of its convolutions.
        dropout: probability that a channel is left out before the linear map.
    """

    def __init__(
        self, channels: Sequence[int], num_classes: int, width: int = 256, norm: Norm = "group", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.project = ConvNormReLU(channels[-1], width, 1, norm)
        self.classify = Classify(width, num_classes, dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score every place of the last map: ``[..., (B, C, h, w)]`` to ``(B, K, h, w)``."""
        return self.classify(self.project(maps[-1]))


class Progressive(nn.Module):
    """3x3 convolutions and doublings in turn, up to the image's own size (PUP, section 3.3, (2)).

    Args:
        channels: of each map that comes in; the last is used.
        num_classes: K.
        width: channels inside.
        norm: of its convolutions.
        dropout: probability that a channel is left out before the last, linear layer.
        stride: pixels between two places of the last map; 16 are four doublings, as published.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        width: int = 256,
        norm: Norm = "group",
        dropout: float = 0.0,
        stride: float = 16,
    ) -> None:
        super().__init__()
        doublings = max(1, round(math.log2(stride)))
        inputs = [channels[-1], *[width] * (doublings - 1)]
        self.steps = nn.ModuleList(ConvNormReLU(number, width, 3, norm) for number in inputs)
        self.classify = Classify(width, num_classes, dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score pixels: ``[..., (B, C, h, w)]`` to ``(B, K, 2^n h, 2^n w)`` with n doublings."""
        features = maps[-1]
        for step in self.steps:
            features = step(features)
            features = resize_to(features, (2 * features.shape[-2], 2 * features.shape[-1]))
        return self.classify(features)


class MultiLevel(nn.Module):
    """Maps of several blocks, each added to those of the blocks above it, fused at a quarter of the stride (MLA).

    Of each map (section 3.3, (3)): a 1x1 convolution halves the channels; the sum over it and all later blocks goes
    through a 3x3 convolution of the same width; another 3x3 convolution halves the channels again; the map becomes
    four times as large. All of them side by side are scored.

    Args:
        channels: of each map that comes in, the lowest block's first.
        num_classes: K.
        width: channels after the first convolution; the third has half of them.
        norm: of its convolutions.
        dropout: probability that a channel is left out before the last, linear layer.
        strides: of each map; they must be equal.

    Raises:
        ConfigError: the maps have several strides, as those of a Swin.
    """

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        width: int = 256,
        norm: Norm = "group",
        dropout: float = 0.0,
        strides: Sequence[float] = (),
    ) -> None:
        super().__init__()
        if len(set(strides)) > 1:
            shown = ", ".join(f"{stride:g}" for stride in strides)
            raise ConfigError(f"setr_mla adds maps of one stride, and this backbone's have {shown}; use upernet")
        self.first = nn.ModuleList(ConvNormReLU(number, width, 1, norm) for number in channels)
        self.second = nn.ModuleList(ConvNormReLU(width, width, 3, norm) for _ in channels)
        self.third = nn.ModuleList(ConvNormReLU(width, width // 2, 3, norm) for _ in channels)
        self.classify = Classify(len(channels) * (width // 2), num_classes, dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score places: ``[(B, C_i, h, w)]`` to ``(B, K, 4 h, 4 w)``."""
        streams = []
        above: Tensor | None = None
        for features, first, second, third in reversed(
            list(zip(maps, self.first, self.second, self.third, strict=True))
        ):
            above = first(features) if above is None else first(features) + above
            streams.insert(0, third(second(above)))
        size = (4 * maps[-1].shape[-2], 4 * maps[-1].shape[-1])
        return self.classify(torch.cat([resize_to(stream, size) for stream in streams], dim=1))
