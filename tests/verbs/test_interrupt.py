"""Stopping a real run, with data workers, the way terminals and schedulers do: a signal to every process of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vitrail.training.checkpoint import resolve

OPTIONS = [
    "--image-size",
    "32",
    "--channels",
    "1",
    "--epochs",
    "6",
    "--batch-size",
    "64",
    "--architecture.patch-size",
    "8",
    "--architecture.width",
    "32",
    "--architecture.depth",
    "2",
    "--architecture.num-heads",
    "2",
    "--architecture.drop-path",
    "0.2",
    "--augment.mixup",
    "0.4",
    "--loader.workers",
    "2",
    "--optim.ema",
    "0.9",
    "--run.save-every",
    "1",
]


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "vitrail", "train", "digits", "--out", str(out), *OPTIONS]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(out / "run"), check=True, capture_output=True, env=environment())
    return out / "run"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_all_processes_saves_and_the_same_command_ends_with_the_same_weights(
    number: int, code: int, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(out),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    rows = out / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (rows.is_file() and rows.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=200)
    assert process.returncode == code, said
    assert "Traceback" not in said
    subprocess.run(command(out), check=True, capture_output=True, env=environment())
    ours, theirs = (load_file(resolve(run, "last") / "model.safetensors") for run in (out, undisturbed))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
