"""The learning rate over the steps of a run."""

from __future__ import annotations

import math

from vitrail.config import Schedule


def rate(step: int, steps: int, steps_per_epoch: int, schedule: Schedule) -> float:
    """Return the factor in [0, 1] by which step ``step`` (from 0) multiplies the peak learning rate.

    The warm-up of ``w`` steps is ``(step + 1) / (w + 1)``, so that no step is wasted at a rate of 0 and the
    peak is reached at ``step = w``. Then, with ``t = (step - w) / (steps - w)``, the factor falls from 1
    towards ``min_factor`` by half a cosine (Loshchilov & Hutter 2017, equation 5, without restarts), in a
    straight line, or not at all.
    """
    warmup = min(round(schedule.warmup_epochs * steps_per_epoch), steps // 2)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    share_done = min(1.0, (step - warmup) / (steps - warmup))
    falling = {
        "cosine": (1 + math.cos(math.pi * share_done)) / 2,
        "linear": 1 - share_done,
        "constant": 1.0,
    }[schedule.kind]
    return schedule.min_factor + (1 - schedule.min_factor) * falling
