"""The pieces dense heads are made of: convolutions with norm and ReLU, norms of maps, resizing."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["none", "group", "batch"]
"""group: over groups of channels, the same whatever the batch and the number of processes; batch: as published."""

GROUP_WIDTH = 16
"""Channels in a group (Wu and He 2018, Group Normalization, table 3): enough that a map of one place, which pyramid
pooling makes, is not normalised to plus and minus one."""


def new_norm(norm: Norm, channels: int) -> nn.Module:
    """Return the norm of a map with so many channels."""
    if norm == "none":
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels // GROUP_WIDTH if channels % GROUP_WIDTH == 0 else 1, channels)


class ConvNormReLU(nn.Sequential):
    """A convolution that keeps the map's size, a norm and a ReLU: ``(B, inputs, h, w)`` to ``(B, outputs, h, w)``."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, norm: Norm = "group") -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["conv"] = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=norm == "none")
        layers["norm"] = new_norm(norm, outputs)
        layers["activate"] = nn.ReLU()
        super().__init__(layers)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each place: ``(B, C, h, w)`` to the same."""

    def forward(self, maps: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise every place by itself."""
        return super().forward(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Classify(nn.Module):
    """Dropout of whole channels, then a linear map at each place: ``(B, C, h, w)`` to ``(B, K, h, w)``."""

    def __init__(self, channels: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout2d(dropout)
        self.conv = nn.Conv2d(channels, num_classes, 1)
        nn.init.normal_(self.conv.weight, std=0.01)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """Score every place."""
        return self.conv(self.dropout(features))


def resize_to(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize ``(B, C, h, w)`` to ``size``, bilinear; the outermost places stand half a place from the border."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
