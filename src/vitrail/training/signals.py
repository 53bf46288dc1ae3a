"""Ctrl-C, SIGTERM and SIGHUP ask a run to stop after the present step rather than in the middle of it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

ONE_REQUEST = 1.0
"""Seconds in which several signals are one request: a terminal, a launcher and a scheduler often all send theirs."""

GRACE = 0.3
"""Seconds after the first signal before signals act as outside again: the rest of one request must not cut short what
is said about how to go on."""


class StopSignals:
    """Notes the first stop signal inside a ``with`` block; a later one acts at once, but for a checkpoint under way.

    SIGHUP is left alone where it is ignored, as under ``nohup``.

    Attributes:
        received: the first signal's number, 0 while there was none.
        insisted: whether a later one came while a checkpoint was being written; the run ends once it is.
    """

    def __init__(self) -> None:
        self.received = 0
        self.insisted = False
        self._first = 0.0
        self._saving = threading.Event()
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._wakeup = -1

    def __enter__(self) -> StopSignals:
        # Python delivers signals to the main thread only and lets no other thread ask for them.
        if threading.current_thread() is not threading.main_thread():
            return self
        self._pipe = os.pipe()
        if hasattr(os, "set_blocking"):  # on Windows from Python 3.12 on; before, it asks for none
            os.set_blocking(self._pipe[1], False)
        # The thread hears of a signal even while the main one waits for a device or another process.
        threading.Thread(target=self._listen, args=(self._pipe[0],), daemon=True, name="stop signals").start()
        self._wakeup = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        # A script's shell lets what it starts with & ignore SIGINT; who sends one to it all the same means it.
        self._before = {number: signal.signal(number, self._note) for number in STOPPING if not _is_nohup(number)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pipe is None:
            return
        if self.received:
            time.sleep(max(0.0, self._first + GRACE - time.monotonic()))
        for number, handler in self._before.items():
            # None stands for a handler that was set outside of Python, which cannot be brought back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._pipe[1])  # ends the thread, which closes the other end
        self._before, self._pipe = {}, None

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Let nothing but the first signal count inside a ``with`` block."""
        self._saving.set()
        try:
            yield
        finally:
            self._saving.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self._first = number, time.monotonic()

    def _listen(self, pipe: int) -> None:
        first = 0.0
        while numbers := os.read(pipe, 1):
            number = numbers[0]
            if number not in STOPPING:
                continue
            if not first:
                first = time.monotonic()
            elif time.monotonic() - first >= ONE_REQUEST:
                self._insist(number)
        os.close(pipe)

    def _insist(self, number: int) -> None:
        if self._saving.is_set():
            self.insisted = True
            return
        with contextlib.suppress(OSError):
            sys.stderr.write(
                f"vitrail: stopped at once by a second {signal.Signals(number).name}; what was saved before is whole: "
                "run the same command again to go on\n"
            )
            sys.stderr.flush()
        # As if nobody listened. Only the main thread may ask Python for that, and it may be busy for ever.
        ctypes.pythonapi.PyOS_setsig.restype = ctypes.c_void_p
        ctypes.pythonapi.PyOS_setsig(ctypes.c_int(number), ctypes.c_void_p(0))
        os.kill(os.getpid(), number)


def _is_nohup(number: int) -> bool:
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN


def _hear_nothing() -> None:
    """Keep what a forked process receives from the thread that listens in its parent."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hear_nothing)
