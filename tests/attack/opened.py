"""Mutates and opens checkpoints one after the other, and says of each what came out and what it took: a program.

``python -m tests.attack.opened FOLDER FIRST LAST``: a line of JSON for each seed. Where FIRST is LAST, the files of a
checkpoint are not mutated, but replaced by pipes and devices.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import vitrail
from vitrail.data.image_list import read_list
from vitrail.errors import VitrailError
from vitrail.heads.names import build_model
from vitrail.training.checkpoint import load_training, recover, resolve
from vitrail.weights.card import model_card
from vitrail.weights.description import describe

from .checkpoints import NAMES, VIT, foreign, mutate, whole

MOST_BYTES = 3 * 2**30
"""More than a file may take, so that what takes too much is still measured."""


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def allow_more_memory(size: int) -> None:
    """Let what takes more than so much beyond the present fail at once, before the machine has no memory left."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 2**22
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + size, resource.RLIM_INFINITY))


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
        "images": lambda: read_list(resolve(source, "last")),
        "recover": lambda: recover(source / "checkpoints"),
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


def irregular(run: Path, source: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Put a pipe and a device in the place of each file of a checkpoint."""
    for name in ("training.pt", "images.tsv.gz", "config.json", "model.safetensors", "digests.json"):
        for kind in ("pipe", "device"):
            shutil.rmtree(run, ignore_errors=True)
            file = Path(shutil.copytree(source, run)) / "checkpoints" / "step_00000001" / name
            file.unlink(missing_ok=True)
            os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")
            yield f"{kind} {name}", tried(run, own=True)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder, seeds = Path(sys.argv[1]), range(*map(int, sys.argv[2:4]))
    for name in NAMES:  # imports and allocators before the measuring
        tried(whole(name, folder / name), own=True)
    before = megabytes()
    allow_more_memory(MOST_BYTES)
    mutated = (one(seed, folder / "run", folder / "mark") for seed in seeds)
    for number, (kind, outcomes) in enumerate(mutated if seeds else irregular(folder / "run", folder / NAMES[0])):
        row = {"seed": seeds.start + number, "kind": kind, "outcomes": outcomes, "megabytes": megabytes() - before}
        print(json.dumps({**row, "executed": (folder / "mark").exists()}), flush=True)


if __name__ == "__main__":
    main()
