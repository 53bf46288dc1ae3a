"""`fit`: learn a task from batches, so that killing it at any moment costs only time."""

from __future__ import annotations

import contextlib

from vitrail.training.distributed import is_main, watched
from vitrail.training.interfaces import Training
from vitrail.training.lock import sole_user
from vitrail.training.log import Log, OnEvent
from vitrail.training.session import Session
from vitrail.training.signals import StopSignals
from vitrail.training.state import Summary


def fit(training: Training, on_event: OnEvent | None = None) -> Summary:
    """Train a task, or go on from the last checkpoint in its folder as if it had never stopped.

    The weights depend on the settings, the batches and the global batch size alone: all randomness of a
    micro-batch is seeded by (seed, step, position), so neither a resume nor the number of processes changes
    what is learned. A task compiled with ``torch.compile`` is welcome.

    Args:
        training: what is trained, on what, and how.
        on_event: called in the main process with every row of ``metrics.jsonl``.

    Raises:
        TrainingError: the loss stays non-finite, too many images are damaged, nothing can be saved, or another
            run uses the folder.
        Interrupted: Ctrl-C or SIGTERM; the step was finished and everything is saved.
    """
    run, folder, session = training.run, training.folder, Session(training)
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


__all__ = ["Summary", "Training", "fit"]
