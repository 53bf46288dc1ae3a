"""Planning a run from what was measured."""

import json
import shlex
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch import nn

import vitrail
from tests.commands.conftest import TINY
from vitrail.cli import main, parse
from vitrail.commands.plan import FEWEST_STEPS, batch_for, checkpoint_bytes, lr_between
from vitrail.errors import ConfigError
from vitrail.runs import throughput
from vitrail.runs.throughput import Throughput, _fastest


@examples(deadline=None, max_examples=50)
@given(st.integers(1, 10**8))
def test_batches_grow_only_where_an_epoch_keeps_its_steps(images: int) -> None:
    batch = batch_for(images, 64, 4096)
    assert 64 <= batch <= 4096
    assert batch == 64 or images // batch >= FEWEST_STEPS
    assert batch == 4096 or images // (2 * batch) < FEWEST_STEPS


def test_the_rate_between_two_known_batches_meets_both() -> None:
    known = ((64, 1e-3), (4096, 2.4e-3))
    assert lr_between(64, *known) == 1e-3
    assert lr_between(4096, *known) == 2.4e-3
    assert lr_between(512, *known) == pytest.approx((1e-3 * 2.4e-3) ** 0.5, rel=0.05)


def test_training_is_as_fast_as_the_slower_side_or_takes_turns_without_workers() -> None:
    assert Throughput(100, 300, workers=2, best=8).both == 100
    assert Throughput(100, 50, workers=2, best=8).both == 50
    assert Throughput(100, 300, workers=0, best=8).both == pytest.approx(75)
    assert Throughput(100, 300, workers=2, best=8).bottleneck == "model"
    assert Throughput(100, 50, workers=2, best=8).bottleneck == "loader"


def test_a_larger_forward_pass_has_to_be_worth_it() -> None:
    assert _fastest({8: 100, 16: 104, 32: 103}) == 8
    assert _fastest({8: 100, 16: 120, 32: 124, 64: 90}) == 16


def test_a_checkpoint_is_as_large_as_was_said(tmp_path: Any) -> None:
    settings: dict[str, Any] = {"image_size": 32, "channels": 1, "architecture": TINY, "batch_size": 64}
    run = vitrail.pretrain("digits", out=str(tmp_path / "r"), epochs=0.1, decoder_width=32, decoder_depth=1, **settings)
    folder = next((run.folder / "checkpoints").glob("step_*"))
    size = sum(path.stat().st_size for path in folder.iterdir())
    model, _ = vitrail.open_checkpoint(run.folder)
    assert checkpoint_bytes(model, ema=False) == pytest.approx(size, rel=0.25)


def test_frozen_parameters_have_no_moments_on_the_disk() -> None:
    layers = nn.Sequential(nn.Linear(100, 100, bias=False), nn.Linear(100, 100, bias=False))
    layers[0].requires_grad_(False)
    assert checkpoint_bytes(layers, ema=False) == 4 * (2 * 20_000 + 2 * 10_000)
    assert checkpoint_bytes(layers, ema=True) == 4 * (2 * 20_000 + 3 * 10_000)


@pytest.mark.parametrize("objective", ["mae", "mpp", "classify"])
def test_the_command_of_a_plan_is_one_that_parses_to_it(objective: str, capsys: pytest.CaptureFixture[str]) -> None:
    shape = [word for name, value in TINY.items() for word in (f"--architecture.{name.replace('_', '-')}", str(value))]
    words = ["plan", "digits", "--objective", objective, "--hours", "0.01", "--seconds", "0.2", "--image-size", "32"]
    assert main([*words, "--channels", "1", "--json", *shape]) == 0
    found = json.loads(capsys.readouterr().out)
    program, verb, *rest = shlex.split(found["command"])
    assert (program, verb) == ("vitrail", "train" if objective == "classify" else "pretrain")
    settings = parse(verb, rest)
    assert settings.batch_size == found["batch_size"] == 64
    assert settings.lr == pytest.approx(found["lr"])
    assert settings.epochs == found["epochs"] >= 1
    assert settings.schedule.warmup_epochs == found["warmup_epochs"]
    assert settings.architecture.width == 32
    assert (settings.run.micro_batch or 64) == found["micro_batch"]
    expected = found["epochs"] * found["images"] / _both(found["throughput"]) / 3600 / 0.95
    assert found["hours"] == pytest.approx(expected)


def _both(throughput: dict[str, Any]) -> float:
    assert throughput["workers"] == 0, "digits are in memory"
    return 1 / (1 / throughput["model"] + 1 / throughput["loader"])


def test_memory_that_runs_out_is_a_note_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:

    def rate(_: Any, plan: Any, __: float) -> float:
        if plan.settings.batch_size > 16:
            raise torch.OutOfMemoryError("out of memory")
        return 100.0 * plan.settings.batch_size

    monkeypatch.setattr(throughput, "_model_rate", rate)
    found = vitrail.plan("digits", hours=0.01, seconds=0.2, image_size=32, channels=1)
    assert found.throughput.by_batch == {8: 800.0, 16: 1600.0}
    assert (found.batch_size, found.micro_batch) == (64, 16)
    assert "--run.micro-batch 16" in found.command
    assert "a batch of 32 does not fit into memory" in found.notes


def test_hours_beyond_what_is_known_are_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(throughput, "_model_rate", lambda *_: 1e6)
    found = vitrail.plan("digits", hours=100, seconds=0.2, image_size=32, channels=1)
    assert found.epochs == 1600
    assert found.hours < 50, "the hundred hours were filled"
    assert any("beyond 1600 nothing is known" in note for note in found.notes)


@pytest.mark.parametrize("asked", [{"hours": 0.0}, {"hours": float("nan")}, {"seconds": -1.0}, {"batch_size": 0}])
def test_a_plan_for_no_time_or_no_images_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(asked))} must be"):
        vitrail.plan("digits", **asked)
