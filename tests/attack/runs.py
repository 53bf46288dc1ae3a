"""Runs of every command as processes of their own, short enough to be attacked by the dozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.equivalence import BOXES
from benchmarks.equivalence import TINY_SWIN as SWIN
from benchmarks.equivalence import TINY_VIT as VIT
from safetensors.torch import load_file

from tests.support.forks import Command
from tests.training.outcome import rows, without_times
from vitrail.training.checkpoint import resolve

COMMON = "--image-size 32 --run.device cpu --run.seed 4 --loader.workers 0"
OFTEN = "--run.save-every 0.26 --run.evaluate-every 0.5"

RUNS: dict[str, str] = {
    "classify": f"train digits --channels 1 --labels 300 --epochs 4 --batch-size 32 {VIT} --optim.ema 0.9",
    "swin": f"train digits --channels 1 --labels 200 --epochs 3 --batch-size 32 {SWIN}",
    "mae": f"pretrain digits --channels 1 --epochs 2 --batch-size 128 {VIT} --decoder-width 32 --decoder-depth 1",
    "mpp": f"pretrain digits --channels 1 --epochs 2 --batch-size 128 --objective mpp {VIT}",
    "simmim": f"pretrain digits --channels 1 --epochs 2 --batch-size 128 --objective simmim --model vit_ti16 {VIT} "
    "--mask-unit 8",
    "simmim of swin": f"pretrain BOXES --epochs 8 --batch-size 2 --objective simmim {SWIN} --image-size 64",
    "detect": f"train BOXES --task detect --epochs 4 --batch-size 2 {SWIN} {BOXES}",
    "segment": f"train MASKS --task segment --epochs 4 --batch-size 2 {SWIN} --dense.width 32 --dense.jitter crop",
}


def words(name: str, out: Path, data: dict[str, Path] | None = None, **options: Any) -> list[str]:
    """Return the words of a run after ``vitrail``; options are named with _ for - and __ for a dot."""
    verb, source, *special = RUNS[name].split()
    given = [str((data or {}).get(word, word)) for word in (verb, source, *f"{COMMON} {OFTEN}".split(), *special)]
    more = [part for key, value in options.items() for part in (_option(key), str(value))]
    return [*given, *more, "--out", str(out)]


def _option(name: str) -> str:
    return f"--{name.replace('__', '.').replace('_', '-')}"


def start(given: list[str]) -> Command:
    """Start ``vitrail`` with these words, as the leader of a group of processes."""
    return Command(given, merged=True)


def finish(given: list[str]) -> tuple[int | None, str]:
    """Run to the end; return the exit code and all that was said."""
    process = start(given)
    said, _ = process.communicate()
    return process.returncode, said


def outcome(run: Path) -> dict[str, Any]:
    """Return what two runs must have in common: weights, rows and summary, but for times."""
    weights = load_file(resolve(run, "last") / "model.safetensors")
    best = load_file(resolve(run, "best") / "model.safetensors")
    return {
        "last": {name: tensor.numpy().tobytes() for name, tensor in weights.items()},
        "best": {name: tensor.numpy().tobytes() for name, tensor in best.items()},
        "rows": [without_times(row) for row in rows(run)],
        "summary": without_times(json.loads((run / "summary.json").read_text())),
    }
