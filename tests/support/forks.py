"""Commands of vitrail as processes of their own, each ready at once: all are forked from one that imported torch.

A process that is started as users start it takes two seconds to import torch, and torchrun takes four times as long:
where that is not what is tested, these are.
"""

from __future__ import annotations

import ctypes
import multiprocessing as mp
import os
import random
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

PATIENCE = 300.0
"""Seconds to wait for a process at most: a machine may be busy with much else."""

PRELOADED = [
    *("tests.support.forks", "tests.training.children", "torch._dynamo", "torch.distributed"),
    *("vitrail.commands.train", "vitrail.commands.pretrain", "vitrail.commands.evaluate"),
]
"""What the server imports; with what these import in turn, all that a run needs."""

PORTS = range(20_000, 32_000)
"""Below those that the system gives to whoever connects: none is taken between the look and the use."""


def fork_server() -> ForkServerContext:
    """Return what starts processes from the one server of this test process."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def free_port() -> int:
    """Return a port that nothing listens on, drawn so that two test processes hardly ever draw the same."""
    draw = random.SystemRandom()
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port := draw.choice(PORTS)))
            except OSError:
                continue
            return port


def ranks(world: int) -> list[dict[str, str]]:
    """Return what torchrun tells each process of a group by its environment."""
    shared = {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [{"RANK": str(rank), "LOCAL_RANK": str(rank), **shared} for rank in range(world)]


def die_with_the_server() -> None:
    """Let nothing survive the tests, whatever happens to them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Command:
    """``vitrail`` with these words, as the leader of a group of processes; used as a `subprocess.Popen` is.

    Args:
        words: after ``vitrail``.
        merged: whether what is written to the error stream is kept in its order with the rest.
        environment: variables beside those of the test.
    """

    def __init__(self, words: Sequence[str], merged: bool = False, environment: Mapping[str, str] | None = None):
        self._files = [tempfile.NamedTemporaryFile() for _ in range(1 if merged else 2)]  # noqa: SIM115
        outputs = [file.name for file in self._files]
        variables = {**os.environ, **(environment or {})}
        given = (list(words), outputs[0], outputs[-1], variables, str(Path.cwd()))
        self._process = fork_server().Process(target=_run, args=given)
        self._process.start()
        self.pid = self._process.pid or 0

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def kill(self) -> None:
        """End it at once, where it has not ended."""
        self._process.kill()
        self._process.join()

    def communicate(self, timeout: float = PATIENCE) -> tuple[str, str]:
        """Wait for the end; return what was written to standard output, and to the error stream unless merged."""
        self._process.join(timeout)
        if self.returncode is None:
            self.kill()
            raise TimeoutError(f"the command hangs; it said: {self._said()}")
        return self._said()

    def _said(self) -> tuple[str, str]:
        texts = [file.read().decode(errors="replace") for file in self._files]
        return texts[0], "" if len(texts) == 1 else texts[1]


def finish(words: Sequence[str]) -> str:
    """Run a command, which must succeed; return what it printed."""
    return _printed(Command(words))


def finish_together(world: int, words: Sequence[str]) -> str:
    """Run a command in so many processes, as torchrun does; return what they printed."""
    return "".join(map(_printed, [Command(words, environment=rank) for rank in ranks(world)]))


def _printed(command: Command) -> str:
    out, err = command.communicate()
    assert command.returncode == 0, err
    return out


def _run(words: list[str], out: str, err: str, environment: dict[str, str], folder: str) -> None:
    import torch

    from vitrail.cli import main

    os.setsid()
    die_with_the_server()
    for path, stream in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = ["vitrail", *words]
    raise SystemExit(main(words))
