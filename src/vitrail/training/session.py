"""A run between its start (or resume) and its end: every piece of `fit`, one short method each."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import torch

from vitrail.console import command, figure
from vitrail.errors import Interrupted, TrainingError
from vitrail.serialize import write_json
from vitrail.training import checkpoint
from vitrail.training.distributed import barrier, gather, is_main, largest, mean_over_processes
from vitrail.training.interfaces import Batch, Training
from vitrail.training.learner import Learner
from vitrail.training.lock import Hold
from vitrail.training.log import Clock, Log
from vitrail.training.runtime import Runtime
from vitrail.training.schedule import rate
from vitrail.training.signals import StopSignals
from vitrail.training.state import State, Summary

MOST_FAILURES = 10
"""Steps in a row that may be skipped because something is not finite."""
GPU_CHECK_EVERY = 10
"""Steps between looks at the count of failures where a look has to wait for the device."""
FAILURES_AT_THE_END = 3
"""Steps in a row that were skipped when a run ends, from which on it counts as failed; fp16 skips single ones."""
MOST_DAMAGED = 0.01
"""Share of the images that may be unreadable."""
ALWAYS_DAMAGED = 5
"""So many images may be unreadable however few there are."""
STEPS_PER_ROW = 50
"""Most steps between two rows of training metrics; each epoch ends with a row."""


class Session:
    """A training from where its folder says it is: learner, state, and the steps of `fit`."""

    def __init__(self, training: Training) -> None:
        run = training.run
        self.training, self.run, self.batches = training, run, training.batches
        self.folder, self.checkpoints = training.folder, training.checkpoints
        self.steps, self.steps_per_epoch = training.steps, training.batches.steps_per_epoch
        self.runtime = training.runtime or Runtime.of(run)
        self.learner = Learner(training.task, training.optim, runtime=self.runtime, seed=run.seed, steps=self.steps)
        self.state = State()
        self.saved_step = 0
        self.save_is_late = 0

    def begin(self, log: Log, held: Hold | None, signals: StopSignals) -> Generator[Sequence[Batch], None, None]:
        """Start, or go on from the last checkpoint; what a killed run wrote after it is removed.

        Args:
            log: what the run tells.
            held: the run folder, in the process that writes to it.
            signals: what may interrupt it.

        Returns:
            This process's micro-batches of the steps that are left.
        """
        self.log, self.held, self.signals = log, held, signals
        if is_main():
            self._recover()
        barrier()
        if last := checkpoint.pointed(self.checkpoints, "last"):
            self._resume(last)
        log.cut(self.state.step)
        self.clock = Clock(self.state.step, self.steps)
        self.saved_at = time.monotonic()
        return self._remaining()

    def _recover(self) -> None:
        try:
            self.checkpoints.mkdir(exist_ok=True)
            notes = checkpoint.recover(self.checkpoints)
        except OSError as error:
            raise TrainingError(
                f"{self.checkpoints} cannot be written to ({error.strerror or error}); make it writable, or choose "
                "another place with --out"
            ) from None
        for note in notes:
            self.log.say(note)

    def _resume(self, last: Path) -> None:
        saved = checkpoint.load_training(last)
        try:
            self.learner.load_state_dict(saved["learner"])
            self.state = State(**saved["state"])
            self.learner.go_on_with_row(saved.get("row", []))
        except (AttributeError, KeyError, TypeError) as error:
            raise TrainingError(f"{last} holds no run of vitrail's ({error}); start again in a new folder") from None
        self.saved_step = self.state.step
        self._compare(saved.get("computed"))
        # Killed between its two pointers, a run has a best checkpoint that is not called so yet.
        if is_main() and self.state.best_step == self.state.step:
            checkpoint.point(self.checkpoints, "best", self.state.step)
        self.log.say(f"going on after step {self.state.step} of {self.steps}")

    def _computed(self) -> dict[str, Any]:
        """Return what the last bits of a result depend on, beside the settings."""
        return {
            "torch": str(torch.__version__),
            "device": self.runtime.device.type,
            "precision": self.runtime.precision.name,
            "threads": self.runtime.threads,
            "attention": self.training.kernel,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "micro-batches in a step": getattr(self.batches, "micro_batches", 1),
        }

    def _compare(self, before: Any) -> None:
        """Say where a run that goes on computes otherwise than it did so far."""
        now = self._computed()
        known = before if isinstance(before, dict) else {}
        differing = [
            f"{name}: {known[name]}, now {now[name]}" for name in now if known.get(name, now[name]) != now[name]
        ]
        if differing:
            self.log.say(
                f"not bit for bit what an undisturbed run would have computed ({'; '.join(differing)}), only as good"
            )

    def _remaining(self) -> Generator[Sequence[Batch], None, None]:
        if self.finished:
            return  # without waking up the data workers
        steps = self.batches.start(self.state.step)
        while not self.finished:
            self.step_began = time.monotonic()
            yield next(steps)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or evaluations said that more would not help."""
        return self.state.step >= self.steps or self.state.stopped_early

    @property
    def epoch(self) -> float:
        """Epochs done, as a fraction."""
        return self.state.step / self.steps_per_epoch

    def learn(self, micro_batches: Sequence[Batch]) -> None:
        """Take one optimizer step."""
        self.learner.learn(
            micro_batches,
            step=self.state.step,
            batch_size=self.batches.batch_size,
            rate=self.rate_of(self.state.step),
        )
        self.state.step += 1
        seconds = time.monotonic() - self.step_began
        self.state.seconds += seconds
        self.clock.count(self.batches.batch_size, seconds)

    def rate_of(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.training.lr * rate(step, self.steps, self.steps_per_epoch, self.training.schedule)

    def exchange(self, stop_signal: int, micro_batches: Sequence[Batch]) -> int:
        """Tell the other processes of damaged images and of a stop signal; return the signal any of them got.

        Processes get a signal at different moments, yet must stop after the same step.
        """
        known = set(self.state.damaged)
        damaged = {path for batch in micro_batches for path in batch.get("damaged", ())} - known
        # Whether enough minutes have passed, each process would answer for itself; all have to save at the same step.
        minutes = (time.monotonic() - self.saved_at) / 60
        is_late = is_main() and 0 < self.run.save_minutes <= minutes
        stop_signal, any_damaged, self.save_is_late = largest(stop_signal, len(damaged), int(is_late))
        if any_damaged:
            found = sorted(set().union(*gather(damaged)) - known)
            self.state.damaged += found
            for path in found:
                self.log.say(f"left out: {path}")
        return stop_signal

    def check(self) -> None:
        """Stop a run that learns nothing any more, or that lacks too many of its images."""
        if self.runtime.device.type == "cpu" or self.state.step % GPU_CHECK_EVERY == 0:
            self._check_failures()
        self._check_damaged()

    def _check_damaged(self) -> None:
        damaged, images = self.state.damaged, self.batches.images
        if len(damaged) <= max(ALWAYS_DAMAGED, MOST_DAMAGED * images):
            return
        data = self.training.config.get("settings", {}).get("data") or "DATA"
        raise TrainingError(
            f"{len(damaged):,} of {images:,} images cannot be read so far, such as {'; '.join(damaged[:3])}; "
            f"{command('vitrail', 'doctor', data)} lists all: repair or remove them, and run the same command again"
        )

    def _check_failures(self) -> None:
        in_a_row, _ = self.learner.failures.read()
        if in_a_row >= MOST_FAILURES:
            raise TrainingError(
                f"the loss or its gradient was not finite in {in_a_row} steps in a row, up to step "
                f"{self.state.step}; {self._what_to_do()}"
            )

    def report(self) -> None:
        """Show the progress, and record a row of training metrics where one is due."""
        self.log.show(self.clock, self.epoch, lambda: self.learner.means.read("loss"))
        rows_per_epoch = math.ceil(self.steps_per_epoch / STEPS_PER_ROW)
        if self._passed(1 / rows_per_epoch):
            means = mean_over_processes(self.learner.means.take())
            extras = {"lr": self.rate_of(self.state.step - 1), "images_per_second": self.clock.lap()}
            self.log.row("train", self.state.step, self.epoch, means | extras)

    def evaluation_is_due(self) -> bool:
        """Whether the task is to be evaluated after this step."""
        return self.training.evaluate is not None and self._passed(self.run.evaluate_every)

    def evaluate(self) -> None:
        """Evaluate the task, and decide whether it is the best so far and whether to go on at all."""
        assert self.training.evaluate is not None
        with self.learner.evaluating() as task:
            metrics = dict(self.training.evaluate(task))
        is_best = self.state.update_best(metrics, self.training.monitor)
        self.state.stopped_early = 0 < self.run.patience <= self.state.worse_in_a_row
        self.log.row("evaluate", self.state.step, self.epoch, {f"validation/{name}": v for name, v in metrics.items()})
        shown = "  ".join(f"{name} {figure(name, value)}" for name, value in metrics.items())
        self.log.say(f"epoch {self.epoch:.2f}  {shown}{'  (best)' if is_best else ''}")
        if self.state.stopped_early:
            self.log.say(f"stopping early: {self.run.patience} evaluations without a better one")

    def drawing_is_due(self) -> bool:
        """Whether what the model makes of images is to be drawn after this step; at the end that is done anyway."""
        return self.training.draw is not None and not self.finished and self._passed(self.run.draw_every)

    def draw(self) -> None:
        """Let the main process draw, with the weights that are evaluated."""
        assert self.training.draw is not None
        with self.learner.evaluating() as task:
            if is_main():
                self.training.draw(task, self.state.step)

    def saving_is_due(self) -> bool:
        """Whether a checkpoint is to be written after this step: by steps, by minutes, or as it is the best."""
        return (
            self._passed(self.run.save_every)
            or bool(self.save_is_late)
            or self.state.best_step == self.state.step
            or self.state.stopped_early
        )

    def save(self) -> None:
        """Write a checkpoint; only the main process does, and nobody waits for it before the next exchange."""
        row = self.learner.means_of_row()
        if is_main():
            self._check_place()
            with self.signals.saving():
                checkpoint.save(
                    self.checkpoints,
                    self.state.step,
                    model=self.learner.export_state(),
                    config=self.training.config,
                    training={
                        "learner": self.learner.state_dict(),
                        "state": self.state.to_dict(),
                        "row": row,
                        "computed": self._computed(),
                    },
                    best=self.state.best_step == self.state.step,
                    keep=self.run.keep,
                    files=self.training.files,
                )
        self.saved_step, self.saved_at = self.state.step, time.monotonic()
        if self.signals.insisted:
            raise self.interrupted(self.signals.received)

    def _check_place(self) -> None:
        if self.held is not None:
            self.held.check()

    def check_end(self) -> None:
        """Fail a run that ends in figures that are no numbers; its last step is not saved.

        Raises:
            TrainingError: nothing was learned, or the end's figures are not finite.
        """
        if not self.finished:
            return
        in_a_row, skipped = self.learner.failures.read()
        monitor = self.training.monitor
        wrong = [f"{name} {value}" for name, value in self.state.metrics.items() if _must_be_finite(name, monitor)]
        wrong = [one for one in wrong if not math.isfinite(float(one.rpartition(" ")[2]))]
        if skipped >= self.state.step or in_a_row >= FAILURES_AT_THE_END:
            what = f"the loss or its gradient was not finite in the last {in_a_row} of {self.state.step} steps"
        elif wrong:
            what = f"the last evaluation says {', '.join(wrong)}"
        else:
            return
        raise TrainingError(f"{what}; {self._what_to_do()}")

    def _what_to_do(self) -> str:
        """Say what is saved of a run that learns nothing any more, and what may help."""
        saved = f"the checkpoint of step {self.saved_step} is untouched" if self.saved_step else "nothing was saved"
        return f"{saved}: choose a smaller lr, a longer warm-up, or precision fp32 (now {self.runtime.precision.name})"

    def interrupted(self, number: int) -> Interrupted:
        """Return what to raise when signal ``number`` has stopped the run."""
        return Interrupted(
            f"stopped by {signal.Signals(number).name} after step {self.state.step} of {self.steps}; everything is "
            f"saved in {self.folder}: run the same command again to go on",
            128 + number,
        )

    def conclude(self) -> Summary:
        """Sum the run up, in ``summary.json`` too."""
        _, skipped = self.learner.failures.read()
        state = self.state
        summary = Summary(
            steps=state.step,
            epochs=self.epoch,
            best=state.best,
            best_step=state.best_step,
            metrics=state.metrics,
            stopped_early=state.stopped_early,
            skipped=skipped,
            damaged=tuple(state.damaged),
            seconds=state.seconds,
            images_per_second=state.step * self.batches.batch_size / max(state.seconds, 1e-9),
            device=str(self.runtime.device),
            precision=self.runtime.precision.name,
            checkpoint=f"checkpoints/step_{state.best_step or state.step:08d}",
        )
        if is_main():
            self._check_place()
            try:
                write_json(self.folder / "summary.json", summary)
            except OSError as error:
                raise TrainingError(
                    f"{self.folder / 'summary.json'} cannot be written ({error.strerror or error}); everything else is "
                    "saved: make room and run the same command again"
                ) from None
        barrier()
        return summary

    def _passed(self, epochs: float) -> bool:
        """Whether the latest step completed another ``epochs`` epochs, or the run; 0 epochs never pass."""
        if self.state.step >= self.steps:
            return True
        every = epochs * self.steps_per_epoch
        return every > 0 and _whole(self.state.step / every) > _whole((self.state.step - 1) / every)


def _must_be_finite(name: str, monitor: str | None) -> bool:
    """Tell whether a figure of an evaluation says that nothing was learned when it is no number; few others do."""
    return "loss" in name or name == monitor


def _whole(ratio: float) -> int:
    """Round down, but for the last bits: 3 steps of a third of an epoch are an epoch."""
    return math.floor(ratio + 1e-9)
