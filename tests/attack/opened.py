"""Mutates and opens checkpoints one after the other, and says of each what came out and what it took: a program.

``python -m tests.attack.opened FOLDER FIRST LAST``: a line of JSON for each seed.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import resource
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import vitrail
from vitrail.errors import VitrailError
from vitrail.models.registry import build_model
from vitrail.training.checkpoint import load_training, resolve
from vitrail.weights.card import model_card
from vitrail.weights.description import describe

from .checkpoints import NAMES, VIT, foreign, mutate, whole


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def uses(source: Path, own: bool) -> dict[str, Callable[[], object]]:
    """Return what people do with a checkpoint or a weights file of others."""
    common = {
        "inspect": lambda: print(vitrail.inspect_weights(source)),
        "from_pretrained": lambda: vitrail.from_pretrained(source)[0],
        "load_weights": lambda: vitrail.load_weights(build_model("vit_ti16", **VIT), source),
    }
    if not own:
        return {**common, "verify": lambda: vitrail.verify_weights(source)}
    return {
        **common,
        "open": lambda: _run(vitrail.open_checkpoint(source)[0]),
        "card": lambda: model_card(describe(source)),
        "resume": lambda: load_training(resolve(source, "last")),
    }


def _run(model: torch.nn.Module) -> None:
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def tried(source: Path, own: bool) -> dict[str, str]:
    """Do all of it; return the outcome of each: "good", a sentence, or the name of an untyped error."""
    outcomes = {}
    for name, use in uses(source, own).items():
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                use()
            outcomes[name] = "good"
        except VitrailError as error:
            outcomes[name] = f"refused: {error}"[:300]
        except BaseException as error:
            outcomes[name] = f"UNTYPED {type(error).__name__}: {error}"[:300]
    return outcomes


def one(seed: int, folder: Path, mark: Path) -> tuple[str, dict[str, str]]:
    draw = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if draw.random() < 0.25:
        file, kind = foreign(draw, folder, mark)
        return kind, tried(file, own=False)
    run = folder / "run"
    shutil.copytree(folder.parent / draw.choice(NAMES), run)
    kind = mutate(run, draw, mark)
    return kind, tried(run, own=True)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for name in NAMES:  # imports and allocators before the measuring
        tried(whole(name, folder / name), own=True)
    before = megabytes()
    for seed in range(first, last):
        kind, outcomes = one(seed, folder / "run", folder / "mark")
        row = {"seed": seed, "kind": kind, "outcomes": outcomes, "megabytes": megabytes() - before}
        print(json.dumps({**row, "executed": (folder / "mark").exists()}), flush=True)


if __name__ == "__main__":
    main()
