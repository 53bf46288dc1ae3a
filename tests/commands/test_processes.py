"""The same command under torchrun learns the same: with mixup, drop path and masks, on two processes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support import forks
from vitrail.training.checkpoint import resolve

MODEL = "--architecture.patch-size 8 --architecture.width 32 --architecture.depth 2 --architecture.num-heads 2"
COMMON = f"digits --image-size 32 --channels 1 --epochs 1 --batch-size 64 {MODEL}"
VERBS = {
    "train": f"train {COMMON} --labels 320 --architecture.drop-path 0.2 --augment.mixup 0.4 --optim.ema 0.9",
    "pretrain": f"pretrain {COMMON} --decoder-width 32 --decoder-depth 1",
}


def torchrun(world: int, words: list[str]) -> str:
    """Run a command as users do."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={world}", "-m", "vitrail", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("verb", "launch"), [("train", torchrun), ("pretrain", forks.finish_together)])
def test_two_processes_end_with_the_weights_of_one(
    verb: str, launch: Callable[[int, list[str]], str], tmp_path: Path
) -> None:
    words = VERBS[verb].split()
    printed = [
        forks.finish([*words, "--run.micro-batch", "32", "--out", str(tmp_path / "one")]),
        launch(2, [*words, "--out", str(tmp_path / "two")]),
    ]
    assert [text.count("report:") for text in printed] == [1, 1], "only the first process speaks"
    one, two = (load_file(resolve(tmp_path / name, "last") / "model.safetensors") for name in ("one", "two"))
    assert all(one[name].equal(two[name]) for name in one)
