"""Where a run is: the few numbers that a checkpoint holds beside tensors."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from vitrail.errors import ConfigError, nearest


@dataclass
class State:
    """How far a run has come, and what its evaluations said."""

    step: int = 0
    """Optimizer steps done, skipped ones included."""
    seconds: float = 0.0
    """Time spent in steps, over all sessions of the run."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the latest evaluation."""
    best: dict[str, float] = field(default_factory=dict)
    """Of the best evaluation."""
    best_step: int = 0
    """Step of the best evaluation, 0 while there is none."""
    worse_in_a_row: int = 0
    """Evaluations since one was better than all before."""
    stopped_early: bool = False
    damaged: list[str] = field(default_factory=list)
    """Images that could not be read, each once."""

    def update_best(self, metrics: dict[str, float], monitor: str | None) -> bool:
        """Take in an evaluation, and return whether it is the best so far.

        Args:
            metrics: of the evaluation.
            monitor: the metric that decides, the first one if None. Names with "loss" in them are better when
                small, all others when large. An evaluation is never best if this figure, or a loss, is not finite.

        Raises:
            ConfigError: there is no such metric; the nearest right names are given.
        """
        name = monitor or next(iter(metrics))
        if name not in metrics:
            raise ConfigError(f"there is no metric {name!r} to choose the best checkpoint by{nearest(name, metrics)}")
        sign = -1 if "loss" in name else 1
        best = sign * self.best[name] if self.best else -math.inf
        losses = [figure for called, figure in metrics.items() if "loss" in called]
        is_finite = all(map(math.isfinite, (metrics[name], *losses)))
        value = sign * metrics[name] if is_finite else -math.inf
        self.metrics = metrics
        self.worse_in_a_row = 0 if value > best else self.worse_in_a_row + 1
        is_best = is_finite and value >= best
        if is_best:  # of equals the later one, which has seen more
            self.best, self.best_step = metrics, self.step
        return is_best

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a checkpoint."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Summary:
    """How a run went; also written to ``summary.json``."""

    steps: int
    epochs: float
    best: dict[str, float]
    """Metrics of the best evaluation; empty when nothing was evaluated."""
    best_step: int
    metrics: dict[str, float]
    """Metrics of the last evaluation."""
    stopped_early: bool
    skipped: int
    """Steps whose loss or gradient was not finite."""
    damaged: tuple[str, ...]
    """Images that could not be read."""
    seconds: float
    """Time spent in training steps."""
    images_per_second: float
    device: str
    precision: str
    checkpoint: str
    """The best checkpoint, else the last, seen from the run folder."""
