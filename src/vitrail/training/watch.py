"""Signs of life of processes that train together: one that is stopped or killed is named, and the others end.

Every process counts up a number of its own in the store that ``torchrun`` (or the first process) keeps, from a thread
of its own; whoever sees another's number stand still for too long says so and ends. What computes or saves for long is
still alive: only a process whose threads stand still, or whose machine is gone, is found silent.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]

SHARE_OF_LIMIT = 1 / 30
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 1.0
"""Seconds between two signs of life."""
PATIENCE_WITH_THE_KILLED = 5.0
"""Seconds to find out which process it was that closed its connections."""
EXIT_CODE = 2


class Watch:
    """Gives signs of life, and looks for those of the others, until it is stopped.

    Args:
        rank: of this process.
        world: how many there are.
        limit: seconds of silence after which a process counts as stopped.
    """

    def __init__(self, rank: int, world: int, limit: float) -> None:
        self.rank, self.world, self.limit = rank, world, limit
        self._pause = min(max(limit * SHARE_OF_LIMIT, SHORTEST_PAUSE), LONGEST_PAUSE)
        self._over = threading.Event()
        self._store: Any = None
        self._hosts: dict[int, str] = {}
        self._seen: dict[int, tuple[bytes, float]] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True, name="signs of life")

    def start(self) -> None:
        """Join the others' watch."""
        address, port = os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "29500"))
        wait = timedelta(seconds=max(1.0, self.limit))
        self._store = TCPStore(address, port, is_master=False, timeout=wait, wait_for_workers=False)
        self._store.set(self._key("host", self.rank), socket.gethostname())
        self._store.set(self._key("alive", self.rank), "0")
        dist.barrier()
        for other in range(self.world):
            self._hosts[other] = self._store.get(self._key("host", other)).decode()
        self._thread.start()

    def stop(self) -> None:
        """Leave the watch; the others are told, so that nobody takes it for an accident."""
        self._over.set()
        self._thread.join(2.0)
        with contextlib.suppress(RuntimeError):
            self._store.set(self._key("alive", self.rank), "left")

    def silent(self, limit: float) -> list[int]:
        """Return the processes that gave no sign of life for so many seconds."""
        now = time.monotonic()
        return [rank for rank, (said, when) in self._seen.items() if said != b"left" and now - when > limit]

    def name(self, rank: int) -> str:
        """Return what to call a process."""
        return f"process {rank} of {self.world} (rank {rank}) on {self._hosts.get(rank, 'an unknown host')}"

    def _key(self, what: str, rank: int) -> str:
        return f"vitrail/{what}/{rank}"

    def _watch(self) -> None:
        count, woke = 0, time.monotonic()
        while not self._over.wait(self._pause):
            now = time.monotonic()
            if now - woke > self._pause + self.limit / 4:
                # This process itself stood still, with all others perhaps: their silence says nothing.
                self._seen = {rank: (said, now) for rank, (said, _) in self._seen.items()}
            count += 1
            try:
                self._store.set(self._key("alive", self.rank), str(count))
                self._look(count)
            except RuntimeError:
                # The run may have ended: who keeps the numbers leaves like the others, perhaps a moment before.
                if self._over.wait(PATIENCE_WITH_THE_KILLED):
                    return
                end(f"{self.name(0)}, through which the processes find each other, is stopped or gone")
            if silent := self.silent(self.limit):
                names = ", ".join(self.name(rank) for rank in silent)
                end(f"{names} gave no sign of life for {self.limit:g} seconds (--run.timeout): stopped or hanging")
            woke = time.monotonic()

    def _look(self, count: int) -> None:
        others = [rank for rank in range(self.world) if rank != self.rank]
        found = self._store.multi_get([self._key("alive", rank) for rank in others])
        now = time.monotonic()
        for rank, said in zip(others, found, strict=True):
            if self._seen.get(rank, (None, 0.0))[0] != said:
                self._seen[rank] = (said, now)

    def who_left(self) -> str:
        """Wait a moment for the silence of a process whose connections broke; return whom to name."""
        deadline = time.monotonic() + PATIENCE_WITH_THE_KILLED
        while time.monotonic() < deadline:
            if silent := self.silent(3 * self._pause):
                return ", ".join(self.name(rank) for rank in silent)
            time.sleep(self._pause)
        return "another process"


@contextlib.contextmanager
def watched(rank: int, world: int, limit: float) -> Iterator[None]:
    """Give signs of life inside a ``with`` block, and end this process when another one's stay out.

    Args:
        rank: of this process.
        world: how many there are; alone nobody is watched.
        limit: seconds of silence after which a process counts as stopped.
    """
    if world == 1 or "MASTER_ADDR" not in os.environ:
        yield
        return
    watch = Watch(rank, world, limit)
    watch.start()
    try:
        yield
    except RuntimeError as error:
        if not is_broken(error):
            raise
        leave_word(sentence("another process ended"))
        raise ConnectionAbortedError(sentence(f"{watch.who_left()} ended")) from error
    finally:
        watch.stop()


def is_broken(error: BaseException) -> bool:
    """Tell whether an error says that a connection to another process broke."""
    text = str(error)
    return isinstance(error, dist.DistError) or any(
        word in text for word in ("gloo", "Connection closed by peer", "Connection reset", "NCCL", "Broken pipe")
    )


def sentence(what: str) -> str:
    """Say what happened to another process, and that nothing is lost."""
    return f"{what}; what was saved before is untouched: run the same command again to go on"


def end(what: str) -> None:
    """Say what happened, and end this process from whatever thread: the main one may wait for the others for ever."""
    message = sentence(what)
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"vitrail: {message}\n")
        sys.stderr.flush()
    leave_word(message)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(EXIT_CODE)


def leave_word(message: str) -> None:
    """Let ``torchrun`` end its own report with our sentence: it shows what its processes leave in a file."""
    if path := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        content = {"message": {"message": f"vitrail: {message}", "extraInfo": {"timestamp": str(int(time.time()))}}}
        with contextlib.suppress(OSError), open(path, "w") as file:  # noqa: PTH123
            json.dump(content, file)


__all__ = ["Watch", "end", "is_broken", "leave_word", "sentence", "watched"]
