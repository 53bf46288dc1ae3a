"""The exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """A slow copy of the weights: ``average = d * average + (1 - d) * weight`` after every step.

    The decay ``d = min(decay, (1 + t) / (10 + t))`` grows with the number ``t`` of updates, as in
    TensorFlow's ``ExponentialMovingAverage``: a short run is not left with its initial weights. After a step
    that was skipped the average sees the same weights once more.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = list(parameters)
        self.decay = decay
        self.updates = 0
        self.averages = [parameter.detach().clone() for parameter in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights: list[Tensor] = [parameter.detach() for parameter in self.parameters]
        torch._foreach_lerp_(self.averages, weights, 1 - decay)  # type: ignore[attr-defined]

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the averages in the place of the weights inside a ``with`` block; nothing is copied."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for i, parameter in enumerate(self.parameters):
            parameter.data, self.averages[i] = self.averages[i], parameter.data

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {"updates": self.updates, "averages": self.averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.updates = state["updates"]
        for average, saved in zip(self.averages, state["averages"], strict=True):
            average.copy_(saved)
