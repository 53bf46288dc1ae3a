"""Training runs in processes of their own, cheap enough to be killed by the dozen.

All are forked from one server process that has imported torch already.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from tests.support.forks import die_with_the_server, fork_server, ranks
from tests.training.toys import ToyBatches, ToyTask, train
from vitrail.config import Optim, Run
from vitrail.errors import Interrupted, VitrailError
from vitrail.training import checkpoint
from vitrail.training.distributed import processes

EPOCHS, STEPS_PER_EPOCH, SAVE_EVERY = 6, 5, 3

PATIENCE = 200.0
"""Seconds to wait for a process at most: a machine may be busy with much else."""

RUN = Run(device="cpu", precision="fp32", save_every=SAVE_EVERY / STEPS_PER_EPOCH, evaluate_every=7 / STEPS_PER_EPOCH)


class Counted(ToyBatches):
    """Tells the test how many steps are done, and may take its time.

    It waits at one of them, so that what a test does after an earlier step is never too late on a busy machine.
    """

    def __init__(
        self, done: Any, pause: float = 0.0, hang_at: int | None = None, hang_for: float = 600.0, **options: Any
    ) -> None:
        super().__init__(steps_per_epoch=STEPS_PER_EPOCH, **options)
        self.done, self.pause, self.hang_at, self.hang_for = done, pause, hang_at, hang_for

    def start(self, step: int) -> Any:
        for micro_batches in super().start(step):
            self.done.value = step
            time.sleep(self.hang_for if step == self.hang_at else self.pause)
            yield micro_batches
            step += 1


def train_to_the_end(
    folder: Path, done: Any, pause: float = 0.0, task: Callable[[], nn.Module] = ToyTask, **changes: Any
) -> None:
    """The run that is killed in the tests: dropout, averaged weights, accumulation over two micro-batches.

    The task is made here: one sent from the test would share its memory with every process it is sent to.
    """
    options = {"micro_batches": 2, **changes.pop("batches", {})}
    train(
        folder,
        **{
            "task": task(),
            "batches": Counted(done, pause, **options),
            "epochs": EPOCHS,
            "optim": Optim(ema=0.9),
            "run": RUN,
            **changes,
        },
    )


def train_and_die_in_save(folder: Path, done: Any, save: int, call: int) -> None:
    """Kill itself at the n-th system call of the n-th save that makes something durable or renames it."""
    calls = saves = 0

    def fatal(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += saves == save
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return wrapped

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal saves
        saves += 1
        return save_whole(*args, **kwargs)

    save_whole, checkpoint.save = checkpoint.save, counted
    for name in ("fsync", "rename", "replace", "unlink", "rmdir"):
        setattr(os, name, fatal(getattr(os, name)))
    train_to_the_end(folder, done)


def train_in_rank(place: dict[str, str], folder: Path, done: Any, changes: dict[str, Any]) -> None:
    """Be one process of several: ``place`` is what torchrun would say in the environment."""
    os.environ |= place
    rank, world = int(place["RANK"]), int(place["WORLD_SIZE"])
    batches = {"rank": rank, "world": world, **changes.pop("batches", {})}
    if damaged := batches.pop("rank_damaged", {}):
        batches["damaged"] = {3: damaged.get(rank, [])}
    with processes():
        train_to_the_end(folder, done, batches=batches, **changes)


def _exit_as_the_command_line_does(target: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    torch.set_num_threads(1)
    die_with_the_server()
    try:
        target(*args, **kwargs)
    except Interrupted as interrupted:
        raise SystemExit(interrupted.exit_code) from None
    except VitrailError as error:
        print(error, flush=True)
        raise SystemExit(1) from None


class Nursery:
    """Starts training runs as children; ``done`` is the number of steps the latest one has finished."""

    def __init__(self) -> None:
        self.context = fork_server()
        self.children: list[BaseProcess] = []

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self.children:
            if child.is_alive():
                child.kill()
            child.join()

    def start(self, target: Callable[..., None], *args: Any, **kwargs: Any) -> tuple[BaseProcess, Any]:
        done = self.context.Value("i", 0)
        options = {"done": done, **kwargs}
        child = self.context.Process(target=_exit_as_the_command_line_does, args=(target, *args), kwargs=options)
        child.start()
        self.children.append(child)
        return child, done

    def finish(self, target: Callable[..., None], *args: Any, **kwargs: Any) -> int:
        """Run a child to its end and return its exit code."""
        child, _ = self.start(target, *args, **kwargs)
        child.join(PATIENCE)
        return exit_code(child)

    def together(self, world: int, folder: Path, **changes: Any) -> list[tuple[BaseProcess, Any]]:
        """Start ``world`` processes that train together."""
        return [self.start(train_in_rank, place, folder, changes=changes) for place in ranks(world)]


def exit_code(child: BaseProcess) -> int:
    child.join(PATIENCE)
    assert child.exitcode is not None, "the run hangs"
    return child.exitcode


def wait_until(done: Any, step: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while done.value < step:
        assert time.monotonic() < deadline, "the run does not come forward"
        time.sleep(0.002)
