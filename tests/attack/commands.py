"""Gives what the other attacks make, mutated checkpoints and images, to random commands of vitrail: a program.

``python -m tests.attack.commands FOLDER FIRST LAST``: a line of JSON for each seed.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from vitrail.cli import main

from .checkpoints import NAMES, foreign, mutate, whole
from .fuzzed_images import FILES
from .fuzzed_images import mutated as mutated_image
from .opened import MOST_BYTES, allow_more_memory

TINY = "--architecture.patch-size 8 --architecture.width 32 --architecture.depth 1 --architecture.num-heads 2"
SHORT = "--image-size 32 --epochs 1 --batch-size 4 --run.device cpu --loader.workers 0"
WITH_WEIGHTS = (
    "evaluate WEIGHTS DATA --device cpu --workers 0",
    "predict WEIGHTS IMAGE --device cpu",
    "look WEIGHTS IMAGE --out OUT",
    "probe WEIGHTS DATA --device cpu --workers 0 --epochs 1",
    "weights inspect WEIGHTS",
    "weights verify WEIGHTS",
    "weights convert WEIGHTS --to timm --out OUT",
    f"train DATA --weights WEIGHTS {SHORT} --out OUT",
    f"pretrain DATA --weights WEIGHTS {SHORT} --out OUT",
    f"train DATA {SHORT} --out WEIGHTS",
)
WITH_DATA = (
    f"train DATA {TINY} {SHORT} --channels 3 --out OUT",
    f"pretrain DATA {TINY} {SHORT} --channels 3 --out OUT",
    "doctor DATA",
    "plan DATA",
    "evaluate WEIGHTS DATA --device cpu --workers 0",
    "predict WEIGHTS DATA/a --device cpu",
    "predict WEIGHTS DATA/a/0 --device cpu",
    "look WEIGHTS DATA/a/0 --out OUT",
    "probe WEIGHTS DATA --device cpu --workers 0 --epochs 1",
)
ENDINGS = {"tiff": ".tif", "webp": ".webp", "png": ".png", "gif": ".gif", "bmp": ".bmp", "avif": ".avif"}


def write_images(folder: Path, spoil: Callable[[bytes], bytes]) -> Path:
    """Write class folders a, b and c with an image of each format, and return their folder."""
    for number, (name, content) in enumerate(FILES.items()):
        kind = next((ending for word, ending in ENDINGS.items() if word in name), ".jpg" if "jpeg" in name else ".ppm")
        file = folder / "abc"[number % 3] / f"{number}{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(spoil(content))
    shutil.copy(folder / "a" / "0.jpg", folder / "a" / "0")
    return folder


def case(seed: int, folder: Path) -> tuple[str, str, list[str]]:
    """Spoil weights or images; return what was done, the command's kind, and its words."""
    draw = random.Random(seed)
    data, weights, kind = folder.parent / "data", folder / "run", "images"
    if draw.random() < 0.35:
        data = write_images(folder / "data", lambda content: mutated_image(content, draw))
        shutil.copytree(folder.parent / NAMES[0], weights)
        chosen = draw.choice(WITH_DATA)
    else:
        if draw.random() < 0.3:
            weights, kind = foreign(draw, folder, folder / "mark")
        else:
            shutil.copytree(folder.parent / draw.choice(NAMES), weights)
            kind = mutate(weights, draw, folder / "mark")
        chosen = draw.choice(WITH_WEIGHTS)
    meant = {"WEIGHTS": weights, "OUT": folder / "out", "IMAGE": folder.parent / "data" / "a" / "0.jpg", "DATA": data}
    return kind, chosen.split(" --")[0], [_filled(word, meant) for word in chosen.split()]


def _filled(word: str, meant: dict[str, Path]) -> str:
    name, *rest = word.split("/")
    return str(Path(meant[name], *rest)) if name in meant else word


def answered(words: list[str]) -> tuple[int | str, str]:
    """Run a command in this process; return its exit code, or the untyped error it ends with, and all it said."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return main(words), said.getvalue()
    except SystemExit as stop:
        return stop.code or 0, said.getvalue()
    except BaseException as error:
        return f"UNTYPED {type(error).__name__}: {error}"[:300], said.getvalue()


def attack() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    write_images(folder / "data", lambda content: content)
    for name in NAMES:
        whole(name, folder / name)
    allow_more_memory(2 * MOST_BYTES)
    for seed in range(first, last):
        shutil.rmtree(folder / "try", ignore_errors=True)
        (folder / "try").mkdir()
        kind, command, words = case(seed, folder / "try")
        code, said = answered(words)
        row = {"seed": seed, "kind": kind, "command": command, "code": code, "said": said[-600:]}
        traceback, executed = "Traceback" in said, (folder / "try" / "mark").exists()
        print(json.dumps({**row, "traceback": traceback, "executed": executed}), flush=True)


if __name__ == "__main__":
    attack()
