"""What a run tells: ``metrics.jsonl`` for machines, progress for people, TensorBoard for those who ask."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from vitrail.console import printable
from vitrail.errors import MissingExtra, TrainingError
from vitrail.serialize import dumps, read_regular, write_whole

OnEvent = Callable[[Mapping[str, Any]], None]

FIRST_LINE_AFTER = 3.0
"""Seconds until the first plain line: soon enough to see that the run runs."""
SHORTEST_PAUSE, LONGEST_PAUSE = 10.0, 60.0
"""Seconds between plain lines; the pause grows with the run, so that a night leaves a readable file."""
BAR_PAUSE = 0.2
"""Seconds between two drawings of the bar; each waits for the device to hand over the loss."""

TIMED_STEPS, TIMED_FOR = 20, 2.0
"""The expected time is shown after so many steps or seconds, whichever is sooner."""


class Rows:
    """``metrics.jsonl``: one JSON object a line, appended as the run goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; numbers that are not finite, which JSON lacks, become null.

        Raises:
            TrainingError: the file cannot be written.
        """
        try:
            if not self.path.parent.is_dir():
                raise TrainingError(
                    f"{self.path} cannot be written: its folder was moved or removed while the run went on; put it "
                    "back and run the same command again, or go on where it is now with --out"
                )
            with self.path.open("a") as file:
                file.write(dumps(row) + "\n")
        except OSError as error:
            raise TrainingError(
                f"{self.path} cannot be written ({error.strerror}); make room and run the same command again"
            ) from error

    def cut(self, step: int) -> int:
        """Drop what a killed run wrote after the ``step`` it is resumed from, and a half-written last line.

        Returns:
            How many other lines were damaged, and dropped too.

        Raises:
            TrainingError: the file cannot be written.
        """
        if not self.path.exists():
            return 0
        try:
            lines = read_regular(self.path).split(b"\n")
            steps = [_step_of(line) for line in lines]
            kept = [line for line, found in zip(lines, steps, strict=True) if found is not None and found <= step]
            write_whole(self.path, b"".join(line + b"\n" for line in kept))
        except OSError as error:
            raise TrainingError(
                f"{self.path} cannot be written ({error.strerror}); make room and run the same command again"
            ) from error
        return sum(found is None and bool(line.strip()) for line, found in zip(lines[:-1], steps[:-1], strict=True))


def _step_of(line: bytes) -> int | None:
    """Return the step of a row; None of what is no row."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int) else None


class Clock:
    """The speed of a run and the time that is left."""

    def __init__(self, step: int, steps: int) -> None:
        self.first, self.step, self.steps = step, step, steps
        self.started = time.monotonic()
        self.images, self.seconds = 0, 0.0
        self.second_step: float | None = None

    def count(self, images: int, seconds: float) -> None:
        """Take one step into account; evaluating and saving have no part in ``seconds``."""
        self.step += 1
        self.images += images
        self.seconds += seconds

    def lap(self) -> float:
        """Return images per second since the last lap, and begin a new one."""
        speed = self.speed
        self.images, self.seconds = 0, 0.0
        return speed

    @property
    def speed(self) -> float:
        """Images per second since the last lap."""
        return self.images / self.seconds if self.seconds else 0.0

    def expected(self, wait: Callable[[], object]) -> float | None:
        """Return the seconds that all steps will take, once, when a few have been timed; None at any other step.

        The first step is left out: it takes memory and compiles. Evaluating and saving come on top.

        Args:
            wait: returns when the device has done what it was given.
        """
        done = self.step - self.first
        if done == 1 or self.second_step is None:
            wait()
            self.second_step = time.monotonic() if done == 1 else math.inf
            return None
        if not math.isfinite(self.second_step):
            return None
        passed = time.monotonic() - self.second_step
        if passed < TIMED_FOR and done < TIMED_STEPS and self.step < self.steps:
            return None
        wait()
        each = (time.monotonic() - self.second_step) / (done - 1)
        self.second_step = math.inf
        return each * (self.steps - self.first)

    @property
    def elapsed(self) -> float:
        """Seconds since the run was started or resumed."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until the end at the throughput so far, evaluating and saving included."""
        done = self.step - self.first
        return self.elapsed / done * (self.steps - self.step) if done else math.nan


class Display(Protocol):
    """Shows people how far a run is."""

    def show(self, clock: Clock, epoch: float, loss: Callable[[], float]) -> None:
        """Show the progress now, or let it be if something was shown just before."""
        ...

    def say(self, text: str) -> None:
        """Say a sentence."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was."""
        ...


class Lines:
    """Plain lines, for files and pipes: the first after a few seconds, then less and less often."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.next = FIRST_LINE_AFTER

    def show(self, clock: Clock, epoch: float, loss: Callable[[], float]) -> None:
        """Print a line if it is time for one; only then is the loss asked for."""
        if clock.elapsed < self.next:
            return
        self.next = clock.elapsed + min(max(clock.elapsed / 20, SHORTEST_PAUSE), LONGEST_PAUSE)
        self.say(
            f"epoch {epoch:.2f}  step {clock.step}/{clock.steps}  loss {loss():.4f}  "
            f"{clock.speed:,.0f} images/s  {duration(clock.left)} left"
        )

    def say(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing was opened."""


class Bar:
    """A progress bar at the bottom of a terminal."""

    def __init__(self, console: Console, steps: int) -> None:
        # No refreshing thread: data workers are forked from this process.
        self.progress = Progress(
            TextColumn("epoch {task.fields[epoch]:.2f}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TextColumn("{task.fields[speed]:,.0f} images/s"),
            TextColumn("{task.fields[left]} left"),
            console=console,
            auto_refresh=False,
            transient=True,
            expand=True,
        )
        self.bar = self.progress.add_task("", total=steps, visible=False, epoch=0.0, loss=0.0, speed=0.0, left="")
        self.progress.start()
        self.next = 0.0

    def show(self, clock: Clock, epoch: float, loss: Callable[[], float]) -> None:
        """Draw the bar anew if it is time for it; only then is the loss asked for."""
        if clock.elapsed < self.next:
            return
        self.next = clock.elapsed + BAR_PAUSE
        self.progress.update(
            self.bar,
            completed=clock.step,
            visible=True,
            epoch=epoch,
            loss=loss(),
            speed=clock.speed,
            left=duration(clock.left),
        )
        self.progress.refresh()

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        self.progress.console.print(printable(text), markup=False, highlight=False)

    def close(self) -> None:
        """Remove the bar."""
        self.progress.stop()


class Log:
    """Everything a run tells, from the main process alone; the others' logs are silent.

    Args:
        folder: the run folder.
        steps: of the whole run.
        main: whether this process is the one that talks.
        tensorboard: also write event files into ``folder/tensorboard``.
        on_event: called with every row.
        console: where people read; by default standard error.

    Raises:
        MissingExtra: TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        *,
        main: bool = True,
        tensorboard: bool = False,
        on_event: OnEvent | None = None,
        console: Console | None = None,
    ) -> None:
        console = console or Console(stderr=True, quiet=not main)
        self.main, self.on_event = main, on_event
        self.rows = Rows(folder / "metrics.jsonl")
        self.writer = _tensorboard(folder / "tensorboard") if main and tensorboard else None
        self.display: Display = Bar(console, steps) if main and console.is_terminal else Lines(console)

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.display.close()
        if self.writer:
            self.writer.close()

    def cut(self, step: int) -> None:
        """Forget the rows after ``step``, from which the run goes on."""
        if self.main and (damaged := self.rows.cut(step)):
            self.say(f"{self.rows.path}: {damaged} damaged line{'s' if damaged > 1 else ''} left out")

    def row(self, kind: str, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Record numbers at a step: in ``metrics.jsonl``, in TensorBoard, and for whoever listens."""
        if not self.main:
            return
        row = {"kind": kind, "step": step, "epoch": round(epoch, 6), **values}
        self.rows.append(row)
        if self.writer:
            for name, value in values.items():
                self.writer.add_scalar(name, value, step)
        if self.on_event:
            self.on_event(row)

    def show(self, clock: Clock, epoch: float, loss: Callable[[], float]) -> None:
        """Show people the progress, from time to time."""
        if self.main:
            if (seconds := clock.expected(loss)) is not None:
                steps = clock.step - clock.first - 1
                by = f"by {steps} step{'' if steps == 1 else 's'}"
                self.say(f"{'expected time':<14}{duration(seconds)} {by}, and evaluations and checkpoints")
            with contextlib.suppress(OSError):  # the terminal is gone; the run goes on without it
                self.display.show(clock, epoch, loss)

    def say(self, text: str) -> None:
        """Tell people something that happened."""
        if self.main:
            with contextlib.suppress(OSError):
                self.display.say(text)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtra("tensorboard", "tensorboard", "writing TensorBoard event files") from None
    return SummaryWriter(str(folder))


def duration(seconds: float) -> str:
    """Write seconds as ``0:07``, ``12:30`` or ``3:05:00``; ``?`` when nobody can know."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
