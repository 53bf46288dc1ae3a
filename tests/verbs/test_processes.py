"""The same command under torchrun learns the same: with mixup, drop path and masks, on two processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vitrail.training.checkpoint import resolve

MODEL = "--architecture.patch-size 8 --architecture.width 32 --architecture.depth 2 --architecture.num-heads 2"
COMMON = f"digits --image-size 32 --channels 1 --epochs 2 --batch-size 64 {MODEL}"
VERBS = {
    "train": f"train {COMMON} --architecture.drop-path 0.2 --augment.mixup 0.4 --optim.ema 0.9",
    "pretrain": f"pretrain {COMMON} --decoder-width 32 --decoder-depth 1",
}


@pytest.mark.parametrize("verb", VERBS)
def test_two_processes_end_with_the_weights_of_one(verb: str, tmp_path: Path) -> None:
    words = VERBS[verb].split()
    launchers = {
        "one": [sys.executable, "-m", "vitrail", *words, "--run.micro-batch", "32"],
        "two": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m", "vitrail", *words],
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, command in launchers.items():
        out = ["--out", str(tmp_path / name)]
        done = subprocess.run([*command, *out], capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("report:") == 1, "only the first process speaks"
    one, two = (load_file(resolve(tmp_path / name, "last") / "model.safetensors") for name in launchers)
    assert all(one[name].equal(two[name]) for name in one)
