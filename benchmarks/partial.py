"""Tune the last block of a pretrained encoder with kept features and without: the same accuracy, sooner.

python benchmarks/partial.py [DATA] [--weights FILE] [--epochs 5] [--blocks 1]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from vitrail.commands import train
from vitrail.commands.evaluate import evaluate
from vitrail.config import replace
from vitrail.runs.split import run_split
from vitrail.runs.tune import EVALUATION_AUGMENT
from vitrail.settings import TrainSettings
from vitrail.tasks.recipes import find_recipe
from vitrail.training.checkpoint import resolve


def main() -> None:
    """Train twice, and print accuracy, seconds, and how far the weights are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--weights")
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--blocks", type=float, default=1)
    parser.add_argument("--channels", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {kept: tune(asked, kept, Path(folder) / kept) for kept in ("off", "on")}
    for kept, (accuracy, seconds, _) in found.items():
        print(f"features kept {kept:>3}: accuracy {accuracy:.4f}, {seconds:.1f} seconds in all")
    without, with_features = (found[kept][2] for kept in ("off", "on"))
    largest = max((without[name] - with_features[name]).abs().max().item() for name in without)
    print(f"{found['off'][1] / found['on'][1]:.2f} times as fast; largest difference of a weight {largest:.2g}")


def tune(asked: argparse.Namespace, kept: str, out: Path) -> tuple[float, float, dict[str, torch.Tensor]]:
    """Tune with features kept "on" or "off"; return accuracy, seconds (features included) and weights."""
    settings = replace(
        find_recipe(TrainSettings, "finetune"),
        data=asked.data,
        weights=asked.weights,
        channels=asked.channels,
        out=str(out),
        epochs=asked.epochs,
        augment=EVALUATION_AUGMENT,
        tune_blocks=asked.blocks,
        cache_features=kept,
        architecture={"drop_path": 0.0},
    )
    began = time.monotonic()
    result = train.learn(settings, run_split(settings))
    seconds = time.monotonic() - began
    weights = load_file(resolve(result.folder, "last") / "model.safetensors")
    return evaluate(str(out), asked.data).top1, seconds, weights


if __name__ == "__main__":
    main()
