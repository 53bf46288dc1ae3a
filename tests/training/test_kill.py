"""A run that is killed at any moment goes on as if it had not been."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.children import (
    SAVE_EVERY,
    STEPS_PER_EPOCH,
    Nursery,
    exit_code,
    train_and_die_in_save,
    train_to_the_end,
    wait_until,
)
from tests.training.outcome import outcome, saved_step
from vitrail.training import checkpoint

LONG = 16
"""Epochs of a run that has time to be killed twenty times."""
BEST_SAVE = 6
"""The save, counted from 1, that does all a save can do: it is the best so far, and two old ones must go."""
CALLS_OF_A_SAVE = 29
"""Calls in it that make something durable, rename or remove it."""
ORDINARY = range(1, CALLS_OF_A_SAVE + 1, 4)
CALLS = [n if n in ORDINARY else pytest.param(n, marks=pytest.mark.slow) for n in range(1, CALLS_OF_A_SAVE + 1)]


@pytest.fixture(scope="module")
def undisturbed(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert nursery.finish(train_to_the_end, folder) == 0
    return outcome(folder)


def test_twenty_kills_change_nothing_about_the_weights(nursery: Nursery, tmp_path: Path) -> None:
    draw, folder = random.Random(0), tmp_path / "killed"
    resumes = 0
    for _ in range(20):
        before = saved_step(folder)
        step = min(before + draw.randrange(SAVE_EVERY + 2), LONG * STEPS_PER_EPOCH - 2)
        waits = {"hang_at": step + 1}
        child, done = nursery.start(train_to_the_end, folder, pause=0.01, epochs=LONG, batches=waits)
        wait_until(done, step)
        time.sleep(draw.uniform(0, 0.02))
        child.kill()
        assert exit_code(child) == -signal.SIGKILL
        resumes += before > 0
        assert saved_step(folder) >= max(before, done.value - SAVE_EVERY)
    assert resumes >= 10
    for name in ("killed", "undisturbed"):
        assert nursery.finish(train_to_the_end, tmp_path / name, epochs=LONG) == 0
    assert outcome(folder) == outcome(tmp_path / "undisturbed")


@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_any_point_of_a_save_loses_at_most_that_save(
    nursery: Nursery, tmp_path: Path, undisturbed: Any, call: int
) -> None:
    child, _ = nursery.start(train_and_die_in_save, tmp_path, save=BEST_SAVE, call=call)
    assert exit_code(child) == -signal.SIGKILL
    assert (checkpoint.resolve(tmp_path, "last") / "training.pt").is_file()
    assert nursery.finish(train_to_the_end, tmp_path) == 0
    assert outcome(tmp_path) == undisturbed


def test_no_point_of_a_save_is_left_out(nursery: Nursery, tmp_path: Path, undisturbed: Any) -> None:
    child, _ = nursery.start(train_and_die_in_save, tmp_path, save=BEST_SAVE, call=CALLS_OF_A_SAVE + 1)
    assert exit_code(child) == 0, "a save makes more calls than it did: raise CALLS_OF_A_SAVE"
    assert outcome(tmp_path) == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_saves_the_step_and_exits_as_shells_expect(
    nursery: Nursery, tmp_path: Path, undisturbed: Any, number: signal.Signals
) -> None:
    child, done = nursery.start(train_to_the_end, tmp_path, pause=0.01, batches={"hang_at": 12, "hang_for": 2.0})
    wait_until(done, 7)
    os.kill(child.pid or 0, number)
    assert exit_code(child) == 128 + number
    assert saved_step(tmp_path) in (done.value, done.value + 1)
    assert nursery.finish(train_to_the_end, tmp_path) == 0
    assert outcome(tmp_path) == undisturbed


def test_a_second_stop_signal_does_not_wait_for_a_hanging_step(nursery: Nursery, tmp_path: Path) -> None:
    child, done = nursery.start(train_to_the_end, tmp_path, pause=0.0, batches={"hang_at": 4})
    wait_until(done, 4)
    deadline = time.monotonic() + 200
    child.terminate()
    time.sleep(0.3)
    assert child.is_alive()
    # On a busy machine the first may not be taken yet, and two that wait together count as one.
    while child.is_alive() and time.monotonic() < deadline:
        child.terminate()
        child.join(0.5)
    assert exit_code(child) == -signal.SIGTERM
