"""`fit`: learn a task from batches, so that killing it at any moment costs only time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vitrail.config import Optim, Run, Schedule
from vitrail.training.distributed import is_main, watched
from vitrail.training.lock import sole_user
from vitrail.training.log import Log, OnEvent
from vitrail.training.protocols import Batches, Draw, Evaluate
from vitrail.training.session import Session
from vitrail.training.signals import StopSignals
from vitrail.training.state import Summary


def fit(
    task: nn.Module,
    train_batches: Batches,
    evaluate: Evaluate | None,
    *,
    epochs: float,
    lr: float,
    optim: Optim,
    schedule: Schedule,
    run: Run,
    folder: Path,
    config: dict[str, Any],
    monitor: str | None = None,
    on_event: OnEvent | None = None,
    draw: Draw | None = None,
    files: Mapping[str, bytes] | None = None,
    kernel: str = "",
) -> Summary:
    """Train ``task``, or go on from the last checkpoint in ``folder`` as if it had never stopped.

    The weights depend on the settings, the batches and the global batch size alone: all randomness of a
    micro-batch is seeded by (seed, step, position), so neither a resume nor the number of processes changes
    what is learned. A task compiled with ``torch.compile`` is welcome.

    Args:
        task: what to learn (`vitrail.training.protocols.Task`); it ends with the last step's weights.
        train_batches: the pictures (`vitrail.training.protocols.Batches`).
        evaluate: gets the task in evaluation mode, with averaged weights if there are any, and returns its
            metrics; None leaves evaluation out.
        epochs: how long; need not be whole.
        lr: the learning rate at the top of the schedule.
        optim: the optimizer.
        schedule: the learning rate's way up and down.
        run: seed, device, precision; how often to evaluate and save.
        folder: the run folder; gets ``checkpoints``, ``metrics.jsonl`` and ``summary.json``.
        config: JSON values stored in every checkpoint.
        monitor: the metric that decides what is best, by default the first one ``evaluate`` returns; names
            with "loss" in them are better when small.
        on_event: called in the main process with every row of ``metrics.jsonl``.
        draw: called in the main process every ``run.picture_every`` epochs, with the task as ``evaluate`` gets it and
            the number of steps done.
        files: the content of more files that every checkpoint holds, by their names.
        kernel: what else computes than torch; a resume with another one is said not to be bit for bit.

    Raises:
        TrainingError: the loss stays non-finite, too many pictures are damaged, nothing can be saved, or another
            run uses the folder.
        Interrupted: Ctrl-C or SIGTERM; the step was finished and everything is saved.
    """
    session = Session(
        task,
        train_batches,
        evaluate,
        epochs=epochs,
        lr=lr,
        optim=optim,
        schedule=schedule,
        run=run,
        folder=folder,
        config=config,
        monitor=monitor,
        draw=draw,
        files=files,
        kernel=kernel,
    )
    with (
        StopSignals() as signals,  # around the watch: torchrun's SIGTERM must not cut short who is named as gone
        watched(run.timeout),
        sole_user(folder, is_main()) as held,
        Log(folder, session.steps, main=is_main(), tensorboard=run.tensorboard, on_event=on_event) as log,
        contextlib.closing(session.begin(log, held, signals)) as steps,
    ):
        for micro_batches in steps:
            session.learn(micro_batches)
            stop_signal = session.exchange(signals.received, micro_batches)
            session.check()
            session.report()
            if session.evaluation_is_due():
                session.evaluate()
            if session.drawing_is_due():
                session.draw()
            session.check_end()
            if session.saving_is_due() or stop_signal:
                session.save()
            if stop_signal:
                raise session.interrupted(stop_signal)
        return session.conclude()


__all__ = ["Summary", "fit"]
