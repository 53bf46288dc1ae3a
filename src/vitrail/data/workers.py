"""Batches fetched by data workers; one that is stopped, hangs, dies or lacks something is named in a sentence."""

from __future__ import annotations

import gc
import math
import multiprocessing
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from vitrail.data.parcels import Parcel, pack
from vitrail.errors import DataError, VitrailError

STOPPED_AFTER = 45.0
"""Seconds without a batch after which a data worker that the system calls stopped is named (``--run.timeout``)."""

WORKER_TIMEOUT = 600.0
"""Seconds without a batch after which data workers count as hung: far above any honest delay, yet a
run on a dead network disk ends with an error instead of standing still for ever."""

LOOK_EVERY = 5.0
"""Seconds of waiting after which the workers are looked at."""

DESCRIPTORS, PIPES = 64, 7
"""File descriptors that a process needs for itself, and for each of its data workers."""

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

ONE_REQUEST = 1.0
"""Seconds in which several SIGTERM are one: a launcher and a scheduler may both send theirs to all processes."""
WAY_OUT = "use --loader.workers 0 (workers=0) to load in the main process"


def load(
    dataset: Dataset, slots: Iterable[Any], workers: int, pin_memory: bool, timeout: float = STOPPED_AFTER
) -> Iterator[Any]:
    """Fetch slot after slot, in order, with data workers or without; torch's global generator is not used.

    Args:
        dataset: gives a batch, or an error, for each slot.
        slots: what to fetch, in this order.
        workers: processes that fetch; 0 fetches in this one.
        pin_memory: put batches into memory from which they are copied to a GPU faster.
        timeout: seconds without a batch after which a worker that was stopped is named.

    Raises:
        DataError: workers cannot be started, were stopped or killed, hang, or lack memory.
    """
    look_every = min(LOOK_EVERY, timeout, WORKER_TIMEOUT)
    loader = DataLoader(
        # Two batches of each worker are on their way, of some large tensors each.
        _Packed(dataset, share=_descriptors_left() > DESCRIPTORS + 20 * workers) if workers else dataset,
        batch_size=None,
        sampler=slots,
        num_workers=workers,
        timeout=look_every if workers else 0,
        pin_memory=pin_memory,
        generator=torch.Generator(),
        worker_init_fn=_leave_signals_to_main,
        # Forked workers share the cache of images; elsewhere forking is not safe.
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    batches = _started(loader, workers)
    for batch in _watched(batches, look_every, timeout) if workers else batches:
        batch = batch.unpacked() if isinstance(batch, Parcel) else batch
        if isinstance(batch, VitrailError):
            raise batch
        yield batch


class _Packed(Dataset):
    """Packs what a data set gives, in the worker."""

    def __init__(self, dataset: Dataset, share: bool) -> None:
        self._dataset, self._share = dataset, share

    def __getitem__(self, slot: Any) -> Parcel:
        try:
            return pack(self._dataset[slot], self._share)
        except MemoryError:
            return pack(DataError(f"a data worker has no memory left; use fewer --loader.workers, or {WAY_OUT}"), False)


def _descriptors_left() -> float:
    """Return how many more files this process may open (ulimit -n)."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return limit - len(os.listdir("/proc/self/fd")) if limit >= 0 else math.inf  # noqa: PTH208  (only counted)
    except (ImportError, OSError):
        return math.inf


def _started(loader: DataLoader, workers: int) -> Iterator[Any]:
    """Start the workers; those that were started before one could not be are ended."""
    wanted = PIPES * workers + 8
    if workers and (left := _descriptors_left()) < wanted:
        need = f"{workers} data workers need about {wanted} open files, and {left:g} more may be opened"
        raise DataError(f"{need}; raise ulimit -n, use fewer --loader.workers, or {WAY_OUT}")
    others = set(multiprocessing.active_children())
    try:
        with _signals_held_back(), _garbage_left_to_main():
            return iter(loader)
    except (OSError, RuntimeError) as error:
        _end(set(multiprocessing.active_children()) - others)
        _leave_half_made(error)
        reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{workers} data workers cannot be started ({reason}); use fewer --loader.workers, or {WAY_OUT}"
        ) from error


def _leave_half_made(error: Exception) -> None:
    """Tell torch's iterator that could not be made that there is nothing to end, or it complains of what it lacks."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        maker = frame.f_locals.get("self")
        if maker is not None and hasattr(maker, "_shutdown_workers"):
            maker._shutdown = True


def _watched(batches: Iterator[Any], look_every: float, timeout: float) -> Iterator[Any]:
    """Give batches; while none comes, look again and again at what has become of the workers.

    Waiting is counted in turns, for a clock would count the time for which all of the run was stopped, too.
    """
    workers = list(getattr(batches, "_workers", ()))
    waited = 0.0
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, OSError) as error:
            if "timed out" in str(error):
                waited += look_every
                stopped = [worker for worker in workers if _is_stopped(worker.pid)]
                if waited < (timeout if stopped else WORKER_TIMEOUT):
                    continue
                if stopped:
                    _end(workers)
                    raise DataError(_named(stopped, workers, waited)) from None
            elif isinstance(error, RuntimeError) and "DataLoader" not in str(error) and not _lacks(error):
                raise
            _end(workers)
            raise DataError(_said(error)) from error
        waited = 0.0
        yield batch


def _lacks(error: Exception) -> bool:
    """Tell whether an error speaks of what the machine has no more of."""
    return any(part in str(error) for part in ("Too many open files", "ancdata", "shared memory", "allocate memory"))


def _said(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "Too many open files" in first or "ancdata" in first:
        first, look = "too many open files", "raise ulimit -n"
    else:
        look = "look for a slow or missing disk, too little memory or too small a /dev/shm"
    return f"the data workers stopped ({first}); {look}, or {WAY_OUT}"


def _named(stopped: list[Any], workers: list[Any], waited: float) -> str:
    named = ", ".join(f"{workers.index(worker)} (process {worker.pid})" for worker in stopped)
    where = f"data worker {named} on {platform.node()} is stopped (by SIGSTOP, or a debugger)"
    return f"no batch came for {waited:g} seconds, and {where}; run the same command again, or {WAY_OUT}"


def _is_stopped(process: int | None) -> bool:
    """Tell whether the system calls a process stopped or traced."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in ("T", "t")


def _end(workers: Iterable[Any]) -> None:
    """End workers: one that nobody speaks to any more would keep this process from ending."""
    for worker in workers:
        worker.kill()
        worker.join()


@contextmanager
def _signals_held_back() -> Generator[None, None, None]:
    """Let stop signals wait while workers are started: one that is not ready for them yet would die of them.

    Workers inherit this, and let the signals in when they are ready (`_leave_signals_to_main`).
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, which has no signals to whole groups either
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _garbage_left_to_main() -> Generator[None, None, None]:
    """Keep forked workers from freeing what this process has given up and not yet freed.

    The decoder of a damaged AVIF, for one, waits at its end for threads that a forked process does not have.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _leave_signals_to_main(_: int) -> None:
    """Let a worker live through stop signals sent to all processes: the main one saves, then ends it.

    A later SIGTERM does end it, for that is what the main process sends to a worker that hangs.
    """
    first: list[float] = []

    def end_at_a_later_one(number: int, frame: Any) -> None:
        first.append(time.monotonic())
        if first[-1] - first[0] >= ONE_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in STOP_SIGNALS:
        signal.signal(number, end_at_a_later_one if number == signal.SIGTERM else signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


__all__ = ["STOPPED_AFTER", "WORKER_TIMEOUT", "load"]
