"""UperNet (Xiao et al. 2018, Unified Perceptual Parsing), as the Swin paper uses it for semantic segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.heads.convolution import Classify, ConvNormReLU, Norm, resize_to

BINS = (1, 2, 3, 6)
"""Side of the grids that pyramid pooling averages over (Zhao et al. 2017, Pyramid Scene Parsing, section 3.2)."""


class PyramidPooling(nn.Module):
    """A map together with its means over coarse grids, so that every place knows of the whole scene.

    Args:
        inputs: channels of the map.
        width: channels of each mean, and of what comes out.
        norm: of its convolutions.
    """

    def __init__(self, inputs: int, width: int, norm: Norm = "group") -> None:
        super().__init__()
        self.means = nn.ModuleList(ConvNormReLU(inputs, width, 1, norm) for _ in BINS)
        self.fuse = ConvNormReLU(inputs + len(BINS) * width, width, 3, norm)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, inputs, h, w)`` to ``(B, width, h, w)``."""
        size = (features.shape[-2], features.shape[-1])
        means = [
            resize_to(project(F.adaptive_avg_pool2d(features, side)), size)
            for project, side in zip(self.means, BINS, strict=True)
        ]
        return self.fuse(torch.cat([features, *means], dim=1))


class UperNet(nn.Module):
    """Pyramid pooling on the coarsest map, a feature pyramid down to the finest, and all levels fused (figure 4).

    Args:
        channels: of each map that comes in, finest first.
        num_classes: K.
        width: channels inside; 512 in the published models.
        norm: of its convolutions.
        dropout: probability that a channel is left out before the last, linear layer.
    """

    def __init__(
        self, channels: Sequence[int], num_classes: int, width: int = 512, norm: Norm = "group", dropout: float = 0.1
    ) -> None:
        super().__init__()
        *finer, coarsest = channels
        self.pooling = PyramidPooling(coarsest, width, norm)
        self.laterals = nn.ModuleList(ConvNormReLU(inputs, width, 1, norm) for inputs in finer)
        self.smooth = nn.ModuleList(ConvNormReLU(width, width, 3, norm) for _ in finer)
        self.fuse = ConvNormReLU(len(channels) * width, width, 3, norm)
        self.classify = Classify(width, num_classes, dropout)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score every place of the finest map: ``[(B, C_i, h_i, w_i)]`` to ``(B, K, h_0, w_0)``."""
        return self.classify(self.features(maps))

    def features(self, maps: Sequence[Tensor]) -> Tensor:
        """Return what is scored: ``(B, width, h_0, w_0)``."""
        merged = [self.pooling(maps[-1])]
        for features, project in zip(reversed(maps[:-1]), reversed(self.laterals), strict=True):
            lateral = project(features)
            merged.insert(0, lateral + resize_to(merged[0], (lateral.shape[-2], lateral.shape[-1])))
        levels = [smooth(level) for smooth, level in zip(self.smooth, merged[:-1], strict=True)]
        size = (merged[0].shape[-2], merged[0].shape[-1])
        return self.fuse(torch.cat([resize_to(level, size) for level in (*levels, merged[-1])], dim=1))
