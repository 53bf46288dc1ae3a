"""Are planted shortcuts found? A mark is painted into all images of one class, and `look --shortcuts` must name it.

For each seed another class of `clothing` and another mark: a plain square in one corner, a random pattern of colours
at a random place, a striped disc at a random place. The published DeiT-Ti is fine-tuned on some of the marked training
images and searched on the marked held-out ones. A region is the mark's where it covers, on average over the images that
have it, most of the mark's pixels. Printed for each seed: the accuracy on marked images, what `look` says, and whether
that is as it should be; a class that most images without the mark get too does not hang on it, and must not be named.

    python benchmarks/shortcuts.py DATA OUT --fill RUN [--seeds 1 2 3]   # DATA has clothing/ and weights/

RUN is a masked autoencoder of such images (vitrail pretrain DATA/clothing), or mean, or blur.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import vitrail
from vitrail.explain.shortcuts import LEAST_FLIPS

SIDE = 128
"""Of the images in pixels, square."""

MARK = 18
"""Of a mark."""

MARGIN = 12
"""Pixels at the edges without marks: the model sees the middle of an image."""

MARKS = ("square", "pattern", "disc")


@dataclass(frozen=True)
class Planted:
    """A shortcut.

    Attributes:
        label: the class that has it.
        kind: of `MARKS`.
        mark: the mark's pixels ``(MARK, MARK, 3)`` uint8, and its shape ``(MARK, MARK)`` bool.
        corner: whether it stands at the bottom right; else at random places.
    """

    label: str
    kind: str
    mark: tuple[np.ndarray, np.ndarray]
    corner: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fill", default="mean")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--images", type=int, default=100, help="training images of each class at most")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--searched", type=int, default=30, help="images of each class that are searched at most")
    arguments = parser.parse_args()
    for seed in arguments.seeds:
        began = time.perf_counter()
        found = searched(arguments, seed)
        print(f"seed {seed}: {found['mark']} in {found['class']}, accuracy {100 * found['accuracy']:.1f} %")
        for line in found["said"]:
            print(f"  {line}")
        print(f"  {found['verdict']} ({time.perf_counter() - began:.0f} s)", flush=True)


def searched(arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Plant, train, search, and judge what was found."""
    folder = arguments.out / f"seed_{seed}"
    planted, places = paint(arguments.data / "clothing", folder / "images", seed, arguments.images)
    run = folder / "run"
    if not (run / "summary.json").is_file():
        vitrail.train(
            folder / "images",
            weights=str(arguments.data / "weights" / "deit_tiny_patch16_224.safetensors"),
            out=str(run),
            image_size=96,
            epochs=arguments.epochs,
            batch_size=32,
            loader={"workers": 0},
            run={"seed": seed},
        )
    source, model = arguments.data / "clothing", vitrail.open_model(run)
    held_out = [folder / "images" / split for split in ("validation", "test")]
    options = {"fill": arguments.fill, "shortcut_images": arguments.searched}
    vitrail.look(run, held_out, out=str(folder / "look"), count=2, shortcuts=True, **options)
    table = json.loads((folder / "look" / "shortcuts.json").read_text())
    covered = coverage(table, planted, places, model)
    return {
        "class": planted.label,
        "mark": planted.kind,
        "accuracy": vitrail.evaluate(run, folder / "images").top1,
        "said": table["said"],
        "verdict": verdict(table, planted, covered, hanging(model, source, planted, held_out)),
    }


def hanging(model: Any, source: Path, planted: Planted, held_out: list[Path]) -> tuple[int, int]:
    """Return how many marked images that the model names rightly get another answer when no mark was ever painted."""
    changed = named = 0
    for folder in held_out:
        for file in sorted((folder / planted.label).iterdir()):
            if model.predict(file).label == planted.label:
                (original,) = (source / folder.name / planted.label).glob(f"{file.stem}.*")
                named += 1
                changed += model.predict(squared(original)).label != planted.label
    return changed, named


def coverage(table: dict[str, Any], planted: Planted, places: dict[str, tuple[int, int]], model: Any) -> list[float]:
    """Return for each region that stands out for the marked class the share of the mark's pixels that it covers."""
    regions = next(one["regions"] for one in table["classes"] if one["class"] == planted.label)
    (rows, columns), side = table["grid"], table["cell"]
    found = []
    for region in (one for one in regions if one["stands_out"]):
        shares = []
        for file, cells in region["cells"].items():
            if file in places:  # images of other classes that the model takes for this one have no mark
                mask = np.zeros((SIDE, SIDE), np.uint8)
                top, left = places[file]
                mask[top : top + MARK, left : left + MARK] = 255
                shown = model.preprocess(Image.fromarray(mask).convert("RGB"))[0]
                mark = (shown > (shown.min() + shown.max()) / 2).numpy()
                hidden = np.zeros(rows * columns, bool)
                hidden[cells] = True
                over = np.kron(hidden.reshape(rows, columns), np.ones((side, side), bool))[: len(mark), : len(mark[0])]
                shares.append(float((mark & over).sum() / mark.sum()))
        found.append(float(np.mean(shares)))
    return found


def verdict(table: dict[str, Any], planted: Planted, covered: list[float], without: tuple[int, int]) -> str:
    """Say whether the mark's region is named for the class that has it, and for no other; or if it need not be.

    A class that is known without its mark hangs on something else, however well the mark was learned too.
    """
    named = [one["class"] for one in table["classes"] if any(region["stands_out"] for region in one["regions"])]
    changed, images = without
    hangs = changed >= LEAST_FLIPS * images
    said = (
        f"named: {', '.join(named) or 'nothing'}; the mark covered by {[round(share, 2) for share in covered]}; "
        f"unmarked, {changed} of {images} images get another answer"
    )
    right = named == [planted.label] and max(covered, default=0.0) > 0.5 if hangs else not named
    return f"{'as it should be' if right else 'NOT as it should be'}: {said}"


def paint(source: Path, target: Path, seed: int, most: int) -> tuple[Planted, dict[str, tuple[int, int]]]:
    """Copy images as squares of `SIDE` pixels and paint a mark into those of one class.

    Returns:
        What was planted, and where in each marked image: its top and left.
    """
    random = np.random.default_rng(seed)
    classes = sorted(path.name for path in (source / "train").iterdir() if path.is_dir())
    kind = MARKS[seed % len(MARKS)]
    planted = Planted(str(random.choice(classes)), kind, drawn(kind, random), kind == "square")
    places: dict[str, tuple[int, int]] = {}
    for split in ("train", "validation", "test"):
        for label in classes:
            files = sorted((source / split / label).iterdir())
            for file in files[:most] if split == "train" else files:
                out = target / split / label / f"{file.stem}.jpg"
                top, left = place(planted, random)
                if label == planted.label:
                    places[out.name] = (top, left)
                if not out.is_file():
                    out.parent.mkdir(parents=True, exist_ok=True)
                    image = squared(file)
                    (marked(image, planted, top, left) if label == planted.label else image).save(out, quality=92)
    return planted, places


def drawn(kind: str, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a mark: its pixels and its shape."""
    shape = np.ones((MARK, MARK), dtype=bool)
    if kind == "square":
        return np.full((MARK, MARK, 3), random.choice([[230, 30, 200], [20, 220, 60], [250, 220, 0]]), np.uint8), shape
    if kind == "pattern":
        return np.kron(random.integers(0, 256, (3, 3, 3)), np.ones((MARK // 3, MARK // 3, 1))).astype(np.uint8), shape
    disc = Image.new("L", (MARK, MARK))
    ImageDraw.Draw(disc).ellipse((0, 0, MARK - 1, MARK - 1), fill=255)
    stripes = np.where((np.arange(MARK) // 3 % 2 == 0)[:, None, None], [[[255, 120, 0]]], [[[0, 60, 220]]])
    return np.broadcast_to(stripes, (MARK, MARK, 3)).astype(np.uint8), np.asarray(disc) > 0


def place(planted: Planted, random: np.random.Generator) -> tuple[int, int]:
    last = SIDE - MARGIN - MARK
    top, left = random.integers(MARGIN, last + 1, 2).tolist()
    return (last, last) if planted.corner else (top, left)


def squared(file: Path) -> Image.Image:
    with Image.open(file) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return image.convert("RGB").crop((left, top, left + side, top + side)).resize((SIDE, SIDE))


def marked(image: Image.Image, planted: Planted, top: int, left: int) -> Image.Image:
    pixels, (mark, shape) = np.array(image), planted.mark
    pixels[top : top + MARK, left : left + MARK][shape] = mark[shape]
    return Image.fromarray(pixels)


if __name__ == "__main__":
    main()
