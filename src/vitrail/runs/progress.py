"""How far a long list of images has come, on the error stream, so that what is printed stays a table or a file."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from vitrail.output import warn

T = TypeVar("T")

FIRST_AFTER, THEN_EVERY = 5.0, 15.0
"""Seconds: what is done sooner needs no progress."""


def reported(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass ``items`` on and say now and then how many of ``total`` are done and how long the rest may take."""
    first = due = 0.0
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if done == 1:
            # Counted from here on: before the first one a model was opened, which is done once.
            first, due = now, now + FIRST_AFTER
        elif now >= due and done < total:
            left = (now - first) / (done - 1) * (total - done)
            warn(f"{done:,} of {total:,} {what}, about {_time(left)} left")
            due = now + THEN_EVERY


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
