"""Processes that train together learn what one learns alone."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.children import SAVE_EVERY, Nursery, exit_code, train_to_the_end, wait_until
from tests.training.outcome import outcome, saved_step
from tests.training.toys import ToyTask
from vitrail.training import checkpoint, distributed

PATIENT = {"hang_at": 14, "hang_for": 2.0}
"""Of a run that is to be stopped before this step."""


class Frozen(ToyTask):
    """Only the last layer learns."""

    def __init__(self) -> None:
        super().__init__()
        self.net[0].requires_grad_(False)
        self.net[1].requires_grad_(False)


class Normed(ToyTask):
    """Keeps running statistics, which are no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.net.insert(0, nn.BatchNorm1d(6))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load_training(checkpoint.resolve(folder, "last"))["learner"]["task"]


def finish_together(nursery: Nursery, world: int, folder: Path, **changes: Any) -> None:
    codes = [exit_code(child) for child, _ in nursery.together(world, folder, **changes)]
    assert codes == [0] * world


@pytest.mark.parametrize("task", [ToyTask, Frozen])
def test_two_processes_learn_the_weights_of_one(nursery: Nursery, tmp_path: Path, task: type[nn.Module]) -> None:
    assert nursery.finish(train_to_the_end, tmp_path / "one", task=task) == 0
    finish_together(nursery, 2, tmp_path / "two", task=task)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-6, atol=1e-7)
    metrics = [json.loads((tmp_path / run / "summary.json").read_text())["metrics"] for run in ("one", "two")]
    assert metrics[1] == pytest.approx(metrics[0], rel=1e-5)


def test_uneven_shares_of_a_batch_are_weighted_by_their_size(nursery: Nursery, tmp_path: Path) -> None:
    batches = {"micro_batches": 3, "batch_size": 8}  # 3, 3, 2 images: two processes have 5 and 3
    assert nursery.finish(train_to_the_end, tmp_path / "one", batches=batches) == 0
    finish_together(nursery, 2, tmp_path / "two", batches=batches)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", [ToyTask, Normed])
def test_kills_of_two_processes_change_nothing(nursery: Nursery, tmp_path: Path, task: type[nn.Module]) -> None:
    draw = random.Random(0)
    finish_together(nursery, 2, tmp_path / "undisturbed", task=task)
    folder = tmp_path / "killed"
    for _ in range(4):
        before = saved_step(folder)
        step = before + draw.randrange(1, SAVE_EVERY + 3)
        children = nursery.together(2, folder, task=task, pause=0.01, batches={"hang_at": step + 1})
        wait_until(children[0][1], step)
        for child, _ in children:
            child.kill()
        assert [exit_code(child) for child, _ in children] == [-signal.SIGKILL] * 2
        assert saved_step(folder) >= max(before, children[0][1].value - SAVE_EVERY)
    finish_together(nursery, 2, folder, task=task)
    assert outcome(folder) == outcome(tmp_path / "undisturbed")


def test_a_signal_to_one_process_stops_both_after_the_same_step(nursery: Nursery, tmp_path: Path) -> None:
    children = nursery.together(2, tmp_path, pause=0.01, batches=PATIENT)
    wait_until(children[1][1], 7)
    os.kill(children[1][0].pid or 0, signal.SIGTERM)
    assert [exit_code(child) for child, _ in children] == [143, 143]
    assert saved_step(tmp_path) >= 7


def test_one_process_goes_on_where_two_were_stopped(nursery: Nursery, tmp_path: Path) -> None:
    assert nursery.finish(train_to_the_end, tmp_path / "one") == 0
    children = nursery.together(2, tmp_path / "both", pause=0.01, batches=PATIENT)
    wait_until(children[0][1], 9)
    children[0][0].terminate()
    assert [exit_code(child) for child, _ in children] == [143, 143]
    assert nursery.finish(train_to_the_end, tmp_path / "both") == 0
    one, both = weights(tmp_path / "one"), weights(tmp_path / "both")
    for name, tensor in one.items():
        torch.testing.assert_close(both[name], tensor, rtol=1e-6, atol=1e-7)


def test_every_process_knows_of_every_damaged_image(nursery: Nursery, tmp_path: Path) -> None:
    batches = {"batch_size": 64, "rank_damaged": {1: ["b.jpg: truncated"]}}
    finish_together(nursery, 2, tmp_path, batches=batches)
    assert json.loads((tmp_path / "summary.json").read_text())["damaged"] == ["b.jpg: truncated"]


def test_alone_every_exchange_is_trivial() -> None:
    assert (distributed.rank(), distributed.world(), distributed.is_main()) == (0, 1, True)
    assert distributed.gather("x") == ["x"]
    assert distributed.largest(3, 4) == [3, 4]
    assert distributed.sum_over_processes({"a": 1.5}) == {"a": 1.5}
    distributed.barrier()
    with distributed.processes():
        assert distributed.world() == 1
