"""How far the measuring has come and how long the rest may take, on the error stream."""

from __future__ import annotations

import time

from vitrail.output import warn

FIRST_AFTER, THEN_EVERY = 5.0, 15.0
"""Seconds between lines."""


class Progress:
    """Counts what is measured.

    Args:
        total: units that are still to be measured.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._began = time.monotonic()
        self._due = self._began + FIRST_AFTER

    def step(self, what: str) -> None:
        """Count one more unit; say so where it is time.

        Args:
            what: what was measured, for the line.
        """
        self.done += 1
        now = time.monotonic()
        if now >= self._due and self.done < self.total:
            left = (now - self._began) / self.done * (self.total - self.done)
            warn(f"{what}: {self.done:,} of {self.total:,} done, about {in_words(left)} left")
            self._due = now + THEN_EVERY


def in_words(seconds: float) -> str:
    """Write a time for people."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


__all__ = ["Progress", "in_words"]
