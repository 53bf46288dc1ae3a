"""What vitrail draws disturbs nobody: neither the caller's random numbers nor another thread's training."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vitrail
from tests.training.outcome import outcome
from tests.training.toys import train
from vitrail.seeding import preserved, seeded

QUICK: dict[str, Any] = {
    "image_size": 32,
    "channels": 1,
    "epochs": 0.2,
    "batch_size": 64,
    "architecture": {"patch_size": 8, "width": 32, "depth": 1, "num_heads": 2},
}


def states() -> tuple[Any, ...]:
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()


@pytest.fixture
def untouched() -> Iterator[None]:
    random.seed(11)
    np.random.seed(12)
    torch.manual_seed(13)
    before = states()
    yield
    assert states() == before


def test_what_is_drawn_inside_leaves_no_trace_outside(untouched: None) -> None:
    with preserved():
        _ = random.random(), np.random.rand(3), torch.rand(3)
        with seeded(5):
            first = torch.rand(3)
    with seeded(5):
        assert torch.rand(3).equal(first)


def test_every_call_from_python_leaves_the_callers_random_numbers_alone(untouched: None, tmp_path: Path) -> None:
    run = vitrail.train("digits", out=str(tmp_path / "train"), labels=200, **QUICK).folder
    encoder = vitrail.pretrain("digits", out=str(tmp_path / "pretrain"), **QUICK).folder
    vitrail.evaluate(str(run), "digits")
    vitrail.open_checkpoint(encoder)
    vitrail.from_pretrained(run)
    vitrail.probe(str(encoder), "digits", labels=100, epochs=1, out=str(tmp_path / "probe"), tune_epochs=1)


@pytest.mark.slow
def test_the_tour_leaves_the_callers_random_numbers_alone(untouched: None, tmp_path: Path) -> None:
    vitrail.tour("digits", out=str(tmp_path), pretrain_epochs=0.2, train_epochs=1, labels=100)


def test_two_trainings_in_two_threads_end_with_the_weights_of_each_alone(tmp_path: Path) -> None:
    for seed in (1, 2):
        learn(tmp_path / f"alone {seed}", seed)
    threads = [threading.Thread(target=learn, args=(tmp_path / f"beside {seed}", seed)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with preserved():
            torch.rand(100)
    for seed in (1, 2):
        assert outcome(tmp_path / f"beside {seed}") == outcome(tmp_path / f"alone {seed}")


def learn(folder: Path, seed: int) -> None:
    from vitrail.config import Run

    train(folder, run=Run(seed=seed, device="cpu", precision="fp32"), epochs=12)


def test_a_process_forked_while_another_thread_draws_can_draw_too() -> None:
    inside, over = threading.Event(), threading.Event()

    def hold() -> None:
        with preserved():
            inside.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait()
    child = os.fork()
    if not child:
        with preserved():
            os._exit(7)
    deadline = threading.Timer(200, os.kill, (child, 9))
    deadline.start()
    _, status = os.waitpid(child, 0)
    deadline.cancel()
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7


def test_the_first_use_of_a_name_leaves_the_callers_random_numbers_alone() -> None:
    """Rich draws from Python's global generator when it is imported: only a fresh process shows that."""
    script = """
import random
import numpy
import torch
import vitrail
random.seed(1)
states = lambda: (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist())
before = states()
for name in dir(vitrail):
    getattr(vitrail, name)
assert states() == before
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
