"""Show that two states of the code train the same weights: short runs of every task, hashed.

Each run is a command of its own, on images drawn here; printed as JSON: ``{name: {"sha256": of model.safetensors of
the last checkpoint, "figures": of the last evaluation}}``. Two states agree where their files are equal:

    python benchmarks/equivalence.py --source OLD/src --out old.json
    python benchmarks/equivalence.py --source NEW/src --out new.json --compare old.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

SIDE = 32
COLOURS = ((200, 40, 40), (40, 180, 60), (60, 70, 210))
NAMES = ("red", "green", "blue")

COMMON = "--image-size 32 --epochs 2 --batch-size 8 --run.seed 3 --run.device cpu"
TINY_VIT = "--architecture.patch-size 8 --architecture.width 32 --architecture.depth 2 --architecture.num-heads 2"
TINY_SWIN = "--model swin_t --architecture.embed-width 32 --architecture.depths 1 1 1 1 --architecture.window 4"
REGULAR = "--architecture.drop-path 0.2 --augment.mixup 0.4 --optim.ema 0.9"
BOXES = "--dense.width 32 --dense.hidden 32 --dense.anchor-size 4 --dense.proposals 40 --dense.regions 16"

RUNS: dict[str, str] = {
    "classify": f"train CLASSES {TINY_VIT} {REGULAR} --loader.workers 0",
    "classify, 2 workers": f"train CLASSES {TINY_VIT} {REGULAR} --loader.workers 2",
    "classify, micro-batches": f"train CLASSES {TINY_VIT} {REGULAR} --loader.workers 0 --run.micro-batch 4",
    "classify, 2 processes": f"train CLASSES {TINY_VIT} {REGULAR} --loader.workers 0",
    "classify, resumed": f"train CLASSES {TINY_VIT} {REGULAR} --loader.workers 0",
    "classify digits": f"train digits {TINY_VIT} --channels 1 --labels 200",
    "detect": f"train BOXES --task detect {TINY_SWIN} {BOXES} --loader.workers 0",
    "detect with DETR": f"train BOXES --task detect {TINY_SWIN} --dense.head detr --dense.width 32 --dense.hidden 32 "
    "--dense.queries 8 --dense.layers 1 --loader.workers 2",
    "segment": f"train MASKS --task segment {TINY_SWIN} --dense.width 32 --dense.jitter crop --loader.workers 0",
    "segment with a ViT": f"train MASKS --task segment {TINY_VIT} --dense.head linear --dense.jitter crop "
    "--loader.workers 2",
    "mae": f"pretrain CLASSES {TINY_VIT} --decoder-width 32 --decoder-depth 1 --loader.workers 0",
    "mae, 2 workers": f"pretrain CLASSES {TINY_VIT} --decoder-width 32 --decoder-depth 1 --loader.workers 2",
    "mpp": f"pretrain CLASSES --objective mpp {TINY_VIT} --loader.workers 0",
    "simmim": "pretrain CLASSES --objective simmim --model swin_t --architecture.embed-width 32 "
    "--architecture.depths 1 1 1 1 --architecture.window 4 --mask-unit 32 --image-size 64 --loader.workers 0",
    "fine-tune": "train CLASSES --weights RUN:mae --loader.workers 0",
    "tune-blocks": "train CLASSES --weights RUN:mae --tune-blocks 1 --augment.crop none --augment.flip 0 "
    "--augment.rand-augment 0 --augment.mixup 0 --augment.cutmix 0 --loader.workers 0",
    "swin": f"train CLASSES {TINY_SWIN} --architecture.drop-path 0.2 --loader.workers 0",
    "bit": "train CLASSES --model bit_r50x1 --architecture.depths 1 1 1 1 --loader.workers 0 --epochs 1",
    "hybrid": "train CLASSES --model r_vit_ti16 --architecture.width 32 --architecture.depth 1 "
    "--architecture.num-heads 2 --loader.workers 0",
}


def draw_data(folder: Path) -> dict[str, Path]:
    """Draw 48 images in three classes, and 12 with boxes and with masks; return their folders by name."""
    random = np.random.RandomState(5)
    for number in range(48):
        kind = number % len(NAMES)
        path = folder / "classes" / ("val" if number >= 36 else "train") / NAMES[kind] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _scene(random, [kind])[0].save(path)
    for split, count in (("train", 8), ("val", 4)):
        images, annotations = [], []
        for number in range(count):
            kinds = random.randint(0, len(NAMES), 2).tolist()
            image, mask, boxes = _scene(random, kinds)
            for data in ("boxes", "masks"):
                (folder / data / "images" / split).mkdir(parents=True, exist_ok=True)
                image.save(folder / data / "images" / split / f"{number}.png")
            (folder / "masks" / "masks" / split).mkdir(parents=True, exist_ok=True)
            mask.save(folder / "masks" / "masks" / split / f"{number}.png")
            images.append({"id": number, "file_name": f"{number}.png", "width": image.width, "height": image.height})
            annotations += [_annotation(len(annotations) + i, number, *found) for i, found in enumerate(boxes)]
        categories = [{"id": number + 1, "name": name} for number, name in enumerate(NAMES)]
        (folder / "boxes" / "annotations").mkdir(exist_ok=True)
        (folder / "boxes" / "annotations" / f"instances_{split}.json").write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": categories})
        )
    return {name: folder / name.lower() for name in ("CLASSES", "BOXES", "MASKS")}


def _scene(random: np.random.RandomState, kinds: list[int]) -> tuple[Image.Image, Image.Image, list[Any]]:
    """Draw one rectangle of each kind on noise; return the image, its mask of classes, and kinds with corners."""
    image = Image.fromarray(random.randint(0, 60, (SIDE + 8, SIDE + 12, 3)).astype(np.uint8))
    mask = Image.new("L", image.size)
    boxes = []
    for place, kind in enumerate(kinds):
        left, top = (int(v) for v in random.randint(0, 8, 2))
        left += place * (image.width // 2)
        corners = (left, top, left + 11, top + 13 + kind)
        ImageDraw.Draw(image).rectangle(corners, fill=COLOURS[kind])
        ImageDraw.Draw(mask).rectangle(corners, fill=kind + 1)
        boxes.append((kind, corners))
    return image, mask, boxes


def _annotation(number: int, image: int, kind: int, corners: tuple[int, int, int, int]) -> dict[str, Any]:
    left, top, right, bottom = corners
    right, bottom = right + 1, bottom + 1
    return {
        "id": number + 1,
        "image_id": image,
        "category_id": kind + 1,
        "iscrowd": 0,
        "bbox": [left, top, right - left, bottom - top],
        "area": (right - left) * (bottom - top),
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }


def commands(name: str, words: str, data: dict[str, Path], runs: Path) -> Iterator[list[str]]:
    """Give the command lines of a run, in order: one, or two where it is resumed."""
    given = words.split()
    options = list(COMMON.split())
    # What a run says of itself goes before what is common to all.
    for option in [word for word in given if word.startswith("--")]:
        if option in options:
            place = options.index(option)
            del options[place : place + 2]
    verb, *rest = [_resolved(word, data, runs) for word in given]
    module = ["-m", "vitrail", verb, *rest, *options, "--out", str(runs / name)]
    if "2 processes" in name:
        yield ["-m", "torch.distributed.run", "--nproc-per-node=2", *module]
        return
    if "resumed" in name:
        yield ["-c", STOPPED_IN_THE_MIDDLE, *module[2:]]
    yield module


STOPPED_IN_THE_MIDDLE = """
import os, signal, sys
from vitrail.training import session
learn = session.Session.learn
def stop(self, batches):
    learn(self, batches)
    if self.state.step == 3:
        os.kill(os.getpid(), signal.SIGTERM)
session.Session.learn = stop
from vitrail.cli import main
sys.exit(0 if main(sys.argv[1:]) == 143 else 1)
"""


def _resolved(word: str, data: dict[str, Path], runs: Path) -> str:
    return str(runs / word.removeprefix("RUN:")) if word.startswith("RUN:") else str(data.get(word, word))


def outcome(run: Path) -> dict[str, Any]:
    """Hash the weights of a run's last checkpoint, and take the figures it left."""
    checkpoints = run / "checkpoints"
    weights = checkpoints / (checkpoints / "last").read_text().strip() / "model.safetensors"
    summary = json.loads((run / "summary.json").read_text())
    return {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), "figures": summary["metrics"]}


def main() -> int:
    """Run, print, and compare where a file of another state is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[1] / "src")
    parser.add_argument("--out", type=Path, help="also write the JSON into this file")
    parser.add_argument("--compare", type=Path, help="the file of another state; exit with 1 where they differ")
    parser.add_argument("--only", default="", help="only runs whose name contains this")
    asked = parser.parse_args()
    environment = {**os.environ, "PYTHONPATH": str(asked.source.resolve()), "OMP_NUM_THREADS": "1"}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data, runs = draw_data(Path(folder) / "data"), Path(folder) / "runs"
        needed = {"mae"} if asked.only in "fine-tune tune-blocks" else set()
        for name, words in RUNS.items():
            if asked.only not in name and name not in needed:
                continue
            for command in commands(name, words, data, runs):
                done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
                if done.returncode:
                    print(f"{name}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}", file=sys.stderr)
                    found[name] = {"sha256": "failed", "figures": {}}
                    break
            else:
                found[name] = outcome(runs / name)
                print(f"{name}: {found[name]['sha256'][:12]}", file=sys.stderr)
    text = json.dumps(found, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")
    failed = [name for name, one in found.items() if one["sha256"] == "failed"]
    other = json.loads(asked.compare.read_text()) if asked.compare else {}
    differing = [name for name in found.keys() & other.keys() if found[name] != other[name]]
    for name in sorted(differing):
        print(f"DIFFERS: {name}", file=sys.stderr)
    return int(bool(failed or differing))


if __name__ == "__main__":
    sys.exit(main())
