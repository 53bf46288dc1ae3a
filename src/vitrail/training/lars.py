"""LARS: SGD whose rate is scaled, layer by layer, to the size of the weights (You et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

TRUST = 1e-3
"""Trust coefficient, eta (paper, section 5); also that of MAE's linear probe."""


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling with momentum (Large Batch Training of Convolutional Networks, algorithm 1).

    For weights w with gradient g, weight decay b and momentum m::

        local = trust * |w| / (|g| + b * |w|)
        v = m * v + lr * local * (g + b * w)
        w = w - v

    Parameters with at most one axis (biases, norms) and those whose weights or gradient are all zero have no scale
    of their own, and learn with ``local = 1``, as for MAE's linear probe (He et al. 2022, table 10).

    Args:
        params: parameters, or groups of them with ``lr`` and ``weight_decay`` of their own.
        lr: the global learning rate.
        momentum: m.
        weight_decay: b.
        trust: the trust coefficient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = TRUST,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step; every parameter without a gradient stays as it is."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move one parameter along its velocity."""
        decay = group["weight_decay"]
        direction = gradient.add(parameter, alpha=decay) if decay else gradient
        if parameter.ndim > 1:
            direction = direction * _local_rate(parameter, gradient, decay, group["trust"])
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity = state["velocity"].mul_(group["momentum"]).add_(direction, alpha=group["lr"])
        parameter.sub_(velocity)


def _local_rate(parameter: Tensor, gradient: Tensor, decay: float, trust: float) -> Tensor:
    """Return the factor of a parameter's rate, a scalar on its device."""
    weight, slope = parameter.norm(), gradient.norm()
    scaled = trust * weight / (slope + decay * weight)
    return torch.where((weight > 0) & (slope > 0), scaled, torch.ones_like(scaled))
