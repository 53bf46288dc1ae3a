"""One thread that computes, and drops what nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from vitrail.errors import VitrailError
from vitrail.live.caches import Newest

T = TypeVar("T")

MOST_WAITING = 64
"""Requests that wait for the thread at most."""

MOST_CLIENTS = 64
"""Pages whose newest request is remembered."""


class Busy(VitrailError):
    """More requests wait than will be answered in time."""


class Stale(Exception):
    """A page has asked for something newer in the meantime."""


class Worker:
    """One thread: torch shares each operation among its own threads already, and a model is recorded one at a time.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting = 0
        self._newest: Newest[int] = Newest(MOST_CLIENTS)

    async def run(self, work: Callable[[], T], client: str = "", number: int = 0) -> T:
        """Do some work once it is its turn.

        Args:
            work: what is done.
            client: who asks; only the newest of a client's requests is worth an answer. "": every one is.
            number: of the request, rising.

        Raises:
            Stale: the client has asked for something newer before its turn came.
            Busy: too many requests wait.
        """
        if self._waiting >= MOST_WAITING:
            raise Busy(f"{self._waiting} requests wait already; ask again in a second")
        if client and number >= (self._newest.get(client) or 0):
            self._newest.put(client, number)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._due, work, client, number)
        finally:
            self._waiting -= 1

    def _due(self, work: Callable[[], T], client: str, number: int) -> T:
        if client and number < (self._newest.get(client) or 0):
            raise Stale
        return work()

    def close(self) -> None:
        """Let nothing begin any more; what is under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Workers:
    """The threads of a window: a large file is opened without an answer waiting for it.

    Attributes:
        computing: asks the models.
        opening: opens images.
    """

    computing: Worker = field(default_factory=lambda: Worker("compute"))
    opening: Worker = field(default_factory=lambda: Worker("open"))

    def close(self) -> None:
        """Let nothing begin any more."""
        self.computing.close()
        self.opening.close()


__all__ = ["Busy", "Stale", "Worker", "Workers"]
