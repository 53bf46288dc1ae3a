"""Mixup and cutmix: two images of a batch, and their targets, become one."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Beta


def mix(
    images: Tensor,
    targets: Tensor,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
    probability: float = 1.0,
    switch: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Mix a batch with a shuffled copy of itself; one way and one share for the whole batch.

    Mixup (Zhang et al. 2018, equation 1) blends the images, cutmix (Yun et al. 2019, section 3.1) pastes a
    rectangle of one onto the other; targets are blended by the share of the image. All random numbers come
    from torch's global generator on the CPU, whatever the device.

    Args:
        images: float, (B, C, H, W).
        targets: float, (B, K), each row summing to 1.
        mixup_alpha: alpha of mixup's Beta distribution; 0 is off.
        cutmix_alpha: alpha of cutmix's Beta distribution; 0 is off.
        probability: how likely the batch is mixed at all.
        switch: how likely cutmix is chosen where both are on.

    Returns:
        New images (B, C, H, W) and targets (B, K), or the given ones where nothing is mixed.
    """
    if not (mixup_alpha or cutmix_alpha) or torch.rand(()) >= probability:
        return images, targets
    partner = torch.randperm(len(images)).to(images.device)
    if cutmix_alpha and (not mixup_alpha or torch.rand(()) < switch):
        images, share = _cutmix(images, partner, _share(cutmix_alpha))
    else:
        share = _share(mixup_alpha)
        images = torch.lerp(images[partner], images, share)
    return images, torch.lerp(targets[partner], targets, share)


def _share(alpha: float) -> float:
    """Draw the share of the image that stays."""
    return float(Beta(torch.tensor(alpha), torch.tensor(alpha)).sample())


def _cutmix(images: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
    """Paste a rectangle of the partner; return the share left after it was clipped at the border."""
    height, width = images.shape[2:]
    side = math.sqrt(1 - share)
    y, x = (torch.rand(2) * torch.tensor([height, width])).tolist()
    top, bottom = _clipped(y, height * side, height)
    left, right = _clipped(x, width * side, width)
    images = images.clone()
    # Advanced indexing copies before it is written: a partner's own rectangle is still the original one.
    images[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / (height * width)


def _clipped(middle: float, length: float, size: int) -> tuple[int, int]:
    return max(0, round(middle - length / 2)), min(size, round(middle + length / 2))


__all__ = ["mix"]
