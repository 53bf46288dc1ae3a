"""Convolutions with standardised weights, and the two ways to pad them (BiT, Kolesnikov et al. 2020, section 3.2)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Padding = Literal["fixed", "same"]
"""fixed: the same on every side, whatever the size (BiT); same: TensorFlow's, just enough for the size (ViT)."""

# Added to a filter's variance. BiT's authors add 1e-10 and the hybrids' add 1e-5 to the standard deviation;
# trained filters are far above either, and 1e-8 is timm's for both.
STANDARDISE_EPS = 1e-8


def same_amount(size: int, kernel: int, stride: int) -> int:
    """Return how many rows TensorFlow's SAME adds so that ``ceil(size / stride)`` places are computed."""
    places = -(-size // stride)
    return max(0, (places - 1) * stride + kernel - size)


def pad_same(images: Tensor, kernel: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad ``(B, C, H, W)`` as TensorFlow's SAME does: what is odd goes to the bottom and the right."""
    bottom, right = (same_amount(size, kernel, stride) for size in images.shape[-2:])
    if not bottom and not right:
        return images
    return F.pad(images, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2), value=value)


class StdConv2d(nn.Conv2d):
    """A convolution whose filters are standardised: mean 0 and variance 1 over their inputs (Qiao et al. 2019).

    With GroupNorm after it, training needs no statistics of the batch. There is no bias.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: Padding = "fixed") -> None:
        margin = 0 if padding == "same" else (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, stride, margin, bias=False)
        self.same = padding == "same"

    def reset_parameters(self) -> None:
        """Draw filters with variance 1 / inputs; their scale matters only to how fast they turn in training."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")

    def standardised(self) -> Tensor:
        """Return the filters that are applied, ``(outputs, inputs, kernel, kernel)``."""
        # Layer norm over all of a filter is weight standardisation, in one kernel.
        return F.layer_norm(self.weight, self.weight.shape[1:], eps=STANDARDISE_EPS)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ceil(H / stride), ceil(W / stride))``."""
        if self.same:
            images = pad_same(images, self.kernel_size[0], self.stride[0])
        return F.conv2d(images, self.standardised(), None, self.stride, self.padding)
