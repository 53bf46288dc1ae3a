from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from tests.training.outcome import evaluations, outcome, rows, saved_step
from tests.training.test_learner import Following
from tests.training.toys import ToyBatches, ToyTask, evaluate, hash_of, train
from vitrail.config import Optim, Run, Schedule
from vitrail.errors import ConfigError, Interrupted, MissingExtra, TrainingError
from vitrail.training import checkpoint


def run_with(**changes: Any) -> Run:
    return Run(**{"device": "cpu", "precision": "fp32", **changes})


def checkpoints(folder: Path) -> list[int]:
    return [int(path.name.removeprefix("step_")) for path in sorted((folder / "checkpoints").glob("step_*"))]


def scripted(name: str, *values: float) -> Callable[[nn.Module], dict[str, float]]:
    """An evaluation that says what the test wants."""
    script = iter(values)
    return lambda task: {name: next(script)}


class SpoiltBatches(ToyBatches):
    """Some steps have images of nothing but nan."""

    def __init__(self, spoilt: range, **options: Any) -> None:
        super().__init__(**options)
        self.spoilt = spoilt

    def start(self, step: int) -> Iterator[list[dict[str, Any]]]:
        for number, micro_batches in enumerate(super().start(step), step):
            if number in self.spoilt:
                micro_batches[0]["image"].fill_(math.nan)
            yield micro_batches


def test_a_run_learns(tmp_path: Path) -> None:
    summary = train(tmp_path, epochs=40, lr=0.03, batches=ToyBatches(32), optim=Optim())
    assert summary.best["top1"] > 0.9
    assert summary.metrics["loss"] < 0.3


def test_the_weights_of_a_run_are_the_same_the_next_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train(tmp_path / name)
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    train(tmp_path / "a", run=run_with(seed=0))
    train(tmp_path / "b", run=run_with(seed=1))
    assert outcome(tmp_path / "a")["learner"] != outcome(tmp_path / "b")["learner"]


def test_how_often_a_run_is_evaluated_saved_and_shown_changes_no_weight(tmp_path: Path) -> None:
    train(tmp_path / "a")
    train(tmp_path / "b", run=run_with(evaluate_every=0.3, save_every=0.7), evaluate=None, on_event=print)
    assert outcome_of_learning(tmp_path / "a") == outcome_of_learning(tmp_path / "b")


def outcome_of_learning(folder: Path) -> str:
    return hash_of(checkpoint.load_training(checkpoint.resolve(folder, "last"))["learner"])


@pytest.mark.parametrize("optim", [Optim(), Optim("sgd", ema=0.5), Optim(clip=0.0)])
def test_resume_changes_nothing_about_the_weights(tmp_path: Path, optim: Optim) -> None:
    train(tmp_path / "undisturbed", optim=optim)
    for stop_after in (3, 4, 11, 20):
        interrupt_after(tmp_path / "resumed", stop_after, optim=optim)
    train(tmp_path / "resumed", optim=optim)
    assert outcome(tmp_path / "resumed") == outcome(tmp_path / "undisturbed") | {
        "checkpoints": outcome(tmp_path / "resumed")["checkpoints"]
    }


def test_a_teacher_that_follows_after_each_step_is_the_same_after_a_resume(tmp_path: Path) -> None:
    train(tmp_path / "undisturbed", task=Following(), optim=Optim(ema=0.5))
    interrupt_after(tmp_path / "resumed", 7, task=Following(), optim=Optim(ema=0.5))
    train(tmp_path / "resumed", task=Following(), optim=Optim(ema=0.5))
    assert outcome_of_learning(tmp_path / "resumed") == outcome_of_learning(tmp_path / "undisturbed")


def interrupt_after(folder: Path, step: int, **changes: Any) -> None:
    class Interrupting(ToyBatches):
        def start(self, first: int) -> Iterator[list[dict[str, Any]]]:
            for number, micro_batches in enumerate(super().start(first), first + 1):
                if number == step:
                    os.kill(os.getpid(), signal.SIGINT)
                yield micro_batches

    with pytest.raises(Interrupted, match=f"SIGINT after step {step} of 20") as caught:
        train(folder, batches=Interrupting(micro_batches=2), **changes)
    assert caught.value.exit_code == 130
    assert saved_step(folder) == step


def test_the_signals_are_as_before_after_a_run(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path, epochs=0.2)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_finished_run_is_not_trained_any_further(tmp_path: Path) -> None:
    first = train(tmp_path)
    before = outcome(tmp_path)
    assert train(tmp_path, evaluate=scripted("loss")) == first
    assert outcome(tmp_path) == before


def test_a_longer_run_goes_on_where_the_shorter_one_ended(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    assert train(tmp_path, epochs=3).steps == 15
    assert [row["step"] for row in evaluations(tmp_path)] == [5, 10, 15]


def test_a_loss_that_is_not_finite_skips_its_step_and_is_counted(tmp_path: Path) -> None:
    summary = train(tmp_path, batches=SpoiltBatches(range(6, 9)))
    assert summary.skipped == 3
    assert math.isfinite(summary.metrics["loss"])


def test_ten_failures_in_a_row_stop_the_run_and_keep_the_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"10 steps in a row, up to step 18; the checkpoint of step 15 .* lr"):
        train(tmp_path, batches=SpoiltBatches(range(8, 99)))
    weights = checkpoint.load_training(checkpoint.resolve(tmp_path, "last"))["learner"]["task"]
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_nine_failures_in_a_row_do_not_stop_the_run(tmp_path: Path) -> None:
    assert train(tmp_path, batches=SpoiltBatches(range(8, 17))).skipped == 9


def test_patience_stops_the_run_and_the_best_checkpoint_stays(tmp_path: Path) -> None:
    values = scripted("top1", 0.5, 0.7, 0.6, 0.65, 0.9)
    summary = train(tmp_path, epochs=9, evaluate=values, run=run_with(patience=2, keep=1))
    assert (summary.stopped_early, summary.steps, summary.best_step) == (True, 20, 10)
    assert summary.best == {"top1": 0.7}
    assert summary.checkpoint == "checkpoints/step_00000010"
    assert checkpoints(tmp_path) == [10, 20]
    assert train(tmp_path, epochs=9, run=run_with(patience=2)) == summary  # and it stays stopped


def test_the_best_checkpoint_has_the_weights_that_were_evaluated(tmp_path: Path) -> None:
    seen: list[str] = []

    def spy(task: nn.Module) -> dict[str, float]:
        seen.append(hash_of(task.state_dict()))
        return {"top1": float(len(seen) == 2)}

    train(tmp_path, evaluate=spy)
    exported = load_file(checkpoint.resolve(tmp_path) / "model.safetensors")
    assert hash_of({name: exported[name] for name in ToyTask().state_dict()}) == seen[1]


def test_the_end_is_always_evaluated_and_saved(tmp_path: Path) -> None:
    train(tmp_path, epochs=2.4, run=run_with(evaluate_every=0, save_every=0, save_minutes=0))
    assert [row["step"] for row in evaluations(tmp_path)] == [12]
    assert checkpoints(tmp_path) == [12]


def test_parts_of_epochs_add_up_to_epochs(tmp_path: Path) -> None:
    run = run_with(evaluate_every=0.3)
    train(tmp_path, batches=ToyBatches(steps_per_epoch=10), epochs=3, run=run)
    assert [row["step"] for row in evaluations(tmp_path)] == list(range(3, 31, 3))


def test_minutes_bring_a_checkpoint_between_epochs(tmp_path: Path) -> None:
    train(tmp_path, run=run_with(save_minutes=1e-9, keep=99), evaluate=None, epochs=1)
    assert checkpoints(tmp_path) == [1, 2, 3, 4, 5]


def test_without_evaluation_the_last_checkpoint_is_the_one_to_use(tmp_path: Path) -> None:
    summary = train(tmp_path, evaluate=None)
    assert (summary.best, summary.metrics, summary.checkpoint) == ({}, {}, "checkpoints/step_00000020")
    assert checkpoint.resolve(tmp_path).name == "step_00000020"


def test_few_damaged_images_are_counted_once_each(tmp_path: Path) -> None:
    damaged = {1: ["a.jpg: truncated"], 7: ["a.jpg: truncated"]}
    summary = train(tmp_path, batches=ToyBatches(32, damaged=damaged))  # one of 160
    assert summary.damaged == ("a.jpg: truncated",)


def test_damaged_images_are_remembered_over_a_resume(tmp_path: Path) -> None:
    batches = ToyBatches(32, damaged={1: ["a.jpg: truncated"]})
    train(tmp_path, batches=batches, epochs=1)
    assert train(tmp_path, batches=batches, epochs=2).damaged == ("a.jpg: truncated",)


def test_too_many_damaged_images_stop_the_run_and_are_named(tmp_path: Path) -> None:
    damaged = {step: [f"{step}.jpg: truncated"] for step in range(9)}
    with pytest.raises(TrainingError, match=r"6 of 160 images .* 0\.jpg: truncated; 1\.jpg: truncated.*vitrail doctor"):
        train(tmp_path, batches=ToyBatches(32, damaged=damaged))


@pytest.mark.parametrize("batch_size", [4, 32])
def test_a_few_damaged_images_never_stop_a_run_however_small_the_set(tmp_path: Path, batch_size: int) -> None:
    damaged = {step: [f"{step % 5}.jpg: truncated"] for step in range(20)}
    batches = ToyBatches(batch_size, steps_per_epoch=3, damaged=damaged)
    assert len(train(tmp_path, batches=batches).damaged) == 5


def test_the_share_of_damaged_images_is_of_all_images_and_not_of_whole_batches(tmp_path: Path) -> None:
    batches = ToyBatches(32, damaged={step: [f"{step}.jpg: truncated"] for step in range(20)})
    batches.images = 777
    with pytest.raises(TrainingError, match=r"8 of 777 images cannot be read"):
        train(tmp_path, batches=batches)


def test_rows_hold_loss_rate_norm_and_speed_at_the_end_of_each_epoch(tmp_path: Path) -> None:
    heard: list[Any] = []
    train(tmp_path, schedule=Schedule("linear", warmup_epochs=0), on_event=heard.append)
    training = [row for row in rows(tmp_path) if row["kind"] == "train"]
    assert heard == rows(tmp_path)
    assert [row["step"] for row in training] == [5, 10, 15, 20]
    assert training[1]["lr"] == pytest.approx(0.05 * (1 - 9 / 20))
    for row in training:
        assert row.keys() == {"kind", "step", "epoch", "loss", "grad_norm", "lr", "images_per_second"}
        assert all(math.isfinite(value) for name, value in row.items() if name != "kind")


def test_long_epochs_have_a_row_every_fifty_steps_at_least(tmp_path: Path) -> None:
    train(tmp_path, batches=ToyBatches(2, steps_per_epoch=120), epochs=1, evaluate=None)
    assert [row["step"] for row in rows(tmp_path)] == [40, 80, 120]


def test_the_summary_is_written_as_json(tmp_path: Path) -> None:
    summary = train(tmp_path)
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written["best"] == summary.best
    assert written["steps"] == 20
    assert (tmp_path / written["checkpoint"] / "model.safetensors").is_file()


def test_a_partly_frozen_task_keeps_its_frozen_weights(tmp_path: Path) -> None:
    task = ToyTask()
    task.net[0].requires_grad_(False)
    before = hash_of(task.net[0].state_dict())
    train(tmp_path, task=task)
    assert hash_of(task.net[0].state_dict()) == before
    assert hash_of(task.net[4].state_dict()) != hash_of(ToyTask().net[4].state_dict())


def test_a_compiled_task_is_saved_under_its_plain_names(tmp_path: Path) -> None:
    compiled = torch.compile(ToyTask(dropout=0.0), backend="eager")
    train(tmp_path / "compiled", task=compiled, epochs=1)
    train(tmp_path / "plain", task=ToyTask(dropout=0.0), epochs=1)
    assert outcome_of_learning(tmp_path / "compiled") == outcome_of_learning(tmp_path / "plain")


def test_a_misspelt_monitor_gets_the_nearest_right_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'top1'"):
        train(tmp_path, evaluate=evaluate, monitor="top_1")


def test_a_checkpoint_of_another_task_is_an_error(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    other = ToyTask()
    other.net.append(nn.Linear(3, 3))
    with pytest.raises(TrainingError, match="another model"):
        train(tmp_path, task=other)


def test_tensorboard_gets_the_rows_or_says_what_to_install(tmp_path: Path) -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtra, match="vitrail\\[tensorboard\\]"):
            train(tmp_path, run=run_with(tensorboard=True))
        return
    train(tmp_path, run=run_with(tensorboard=True), epochs=1)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_drawing_comes_every_so_often_with_the_weights_that_are_evaluated_and_changes_nothing(tmp_path: Path) -> None:
    drawn: list[tuple[int, bool, float]] = []

    def draw(task: nn.Module, step: int) -> None:
        drawn.append((step, task.training, next(task.parameters()).sum().item()))
        torch.rand(3)

    seen: list[float] = []

    def look(task: nn.Module) -> dict[str, float]:
        seen.append(next(task.parameters()).sum().item())
        return evaluate(task)

    run = run_with(draw_every=1.0, evaluate_every=1.0)
    train(tmp_path / "a", run=run, draw=draw, evaluate=look)
    train(tmp_path / "b", run=run_with(evaluate_every=1.0))
    steps = ToyBatches(micro_batches=2).steps_per_epoch
    assert [step for step, _, _ in drawn] == [steps, 2 * steps, 3 * steps], "the end is drawn by whoever began it"
    assert not any(training for _, training, _ in drawn)
    assert [value for _, _, value in drawn] == seen[:3], "with averaged weights, where there are any"
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b")
