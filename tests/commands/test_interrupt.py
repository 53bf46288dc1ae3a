"""Stopping a real run, with data workers, the way terminals and schedulers do: a signal to every process of it."""

import os
import signal
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support.forks import Command, finish
from vitrail.training.checkpoint import resolve

MODEL = "--architecture.patch-size 8 --architecture.width 32 --architecture.depth 2 --architecture.num-heads 2"
DRAWN = "--loader.workers 2 --augment.mixup 0.4 --architecture.drop-path 0.2 --optim.ema 0.9"
OPTIONS = f"--image-size 32 --channels 1 --labels 300 --epochs 8 --batch-size 32 {MODEL} {DRAWN} --run.save-every 1"


def words(out: Path) -> list[str]:
    return ["train", "digits", "--out", str(out), *OPTIONS.split()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    finish(words(out / "run"))
    return out / "run"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_all_processes_saves_and_the_same_command_ends_with_the_same_weights(
    number: int, code: int, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = Command(words(out))
    rows = out / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (rows.is_file() and rows.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    _, said = process.communicate()
    assert process.returncode == code, said
    assert "Traceback" not in said
    finish(words(out))
    ours, theirs = (load_file(resolve(run, "last") / "model.safetensors") for run in (out, undisturbed))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
