"""Images that could not be read: gathered from all processes, and said the same way by every command."""

from __future__ import annotations

from collections.abc import Sequence

from vitrail.data.batches import EvalBatches
from vitrail.output import say
from vitrail.training import distributed

NAMED = 20
"""So many of the files left out are named, the others counted."""


def unread(batches: EvalBatches) -> tuple[str, ...]:
    """Return the files that any process could not read, in order of their names, whatever process met which."""
    return tuple(sorted(path for part in distributed.gather(batches.damaged) for path in part))


def left_out(reasons: Sequence[str], images: int) -> list[str]:
    """Write, in lines, which of ``images`` were left out; nothing where all were read."""
    if not reasons:
        return []
    more = len(reasons) - NAMED
    counted = [f"  and {more:,} more"] if more > 0 else []
    return [f"left out: {len(reasons):,} of {images:,} images", *(f"  {one}" for one in reasons[:NAMED]), *counted]


def say_measured(damaged: Sequence[str], read: int, notes: Sequence[str]) -> None:
    """Say before an evaluation's figures what they are of: which images were not read, and what else there is to know.

    Args:
        damaged: the files left out, each with the reason.
        read: how many images were read.
        notes: sentences.
    """
    for line in (*left_out(damaged, read + len(damaged)), *notes):
        say(line)
