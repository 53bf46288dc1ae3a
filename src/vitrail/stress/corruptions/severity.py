"""From a severity to what it stands for."""

from __future__ import annotations

WORST = 5
"""The severest."""


def geometric(first: float, last: float, severity: float) -> float:
    """Return the value of a severity in [1, 5]: each is the same multiple of the one before."""
    return first * (last / first) ** ((severity - 1) / (WORST - 1))


def linear(first: float, last: float, severity: float) -> float:
    """Return the value of a severity in [1, 5]: each is as much above the one before."""
    return first + (last - first) * (severity - 1) / (WORST - 1)


__all__ = ["WORST", "geometric", "linear"]
