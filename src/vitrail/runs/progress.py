"""How far a long list of images has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from vitrail.output import Progress

T = TypeVar("T")


def reported(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass ``items`` on and say now and then how many of ``total`` are done and how long the rest may take."""
    progress = Progress(what)
    for done, item in enumerate(items, start=1):
        yield item
        progress.reached(done, total)
