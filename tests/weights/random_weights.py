"""Random weights that leave nothing at its initial value, so that a forgotten tensor shows."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every parameter: norms' weights around 1, all others around 0, large enough to matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            around_one = parameter.ndim == 1 and name.endswith("weight")
            inputs = parameter[0].numel() if parameter.ndim else 1
            parameter.copy_(1 + 0.2 * values if around_one else values * (inputs**-0.5 + 0.01))
    return model.eval()


def relative_difference(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference, in units of the largest value."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())
