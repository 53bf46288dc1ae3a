"""Which explanation is true: areas under deletion and insertion of every method on real photographs.

The published DeiT-Ti explains the class it predicts on each photograph; a map is tested by really taking patches out of
the sequence, the most important first (deletion) or last (insertion). Printed: means with 95 % intervals over the
photographs, and the difference of each method to removal within a photograph. Photographs can be shared out among
processes, each with a part of its own; rows are kept in FILE, and photographs that are there are not done again.

    python benchmarks/explanations.py DATA FILE [--part 0 --parts 2] [--most 250]   # DATA has imagenet_like/, weights/
    python benchmarks/explanations.py DATA FILE --table
    python benchmarks/explanations.py DATA FILE --time 5                            # seconds an image of each method
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vitrail
from vitrail.explain.faithfulness import curves_of, order_of
from vitrail.explain.methods import METHODS, Request, explain, random_map
from vitrail.explain.target import target_of

COMPARED = ("leave-one-out", "chefer", "grad-cam", "integrated-gradients", "rollout", "attention")
STEPS = 14
FIGURES = ("deletion", "insertion", "drop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--most", type=int, default=250)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--time", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.table:
        print_table(rows_in(arguments.file))
        return
    opened = vitrail.open_model(arguments.data / "weights" / "deit_tiny_patch16_224.safetensors")
    photographs = sorted((arguments.data / "imagenet_like").rglob("*.jpg"))[: arguments.most]
    if arguments.time:
        print_times(opened, photographs[: arguments.time])
        return
    done = {row["photograph"] for row in rows_in(arguments.file)}
    for path in photographs[arguments.part :: arguments.parts]:
        if path.name not in done:
            row = {"photograph": path.name, **measured(opened.model, opened.preprocess(path)[None])}
            with arguments.file.open("a") as file:
                file.write(json.dumps(row) + "\n")


def requested(model: Any, images: Tensor, seed: int = 7) -> Request:
    return Request(model, images, target_of(model, images), seed=seed)


def measured(model: Any, images: Tensor) -> dict[str, dict[str, float]]:
    """Return the areas, and what removing a fifth lowers the probability by, of every method for one image."""
    request = requested(model, images)
    maps = {name: explain(name, request).values for name in COMPARED} | {"random": random_map(request)}
    found = {}
    for name, values in maps.items():
        curves = curves_of(request.removal, order_of(request.removal, values), STEPS)
        numbers = (curves.deletion_area, curves.insertion_area, curves.drop())
        found[name] = {figure: float(number[0]) for figure, number in zip(FIGURES, numbers, strict=True)}
    return found


def print_times(opened: Any, photographs: list[Path]) -> None:
    images = [opened.preprocess(path)[None] for path in photographs]
    print(f"{torch.get_num_threads()} threads, {len(images)} images, median seconds of each method")
    for name in METHODS:
        taken = []
        for image in images:
            request = requested(opened.model, image)
            began = time.perf_counter()
            explain(name, request)
            taken.append(time.perf_counter() - began)
        print(f"{name:24} {statistics.median(taken):6.2f} s")


def rows_in(file: Path) -> list[dict[str, Any]]:
    files = sorted(file.parent.glob(f"{file.name}*")) if file.parent.is_dir() else []
    return [json.loads(line) for one in files for line in one.read_text().splitlines()]


def interval(values: list[float], digits: int = 3) -> str:
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.{digits}f} ± {half:.{digits}f}"


def print_table(rows: list[dict[str, Any]]) -> None:
    print(f"{len(rows)} photographs\n")
    print("| map | deletion | insertion | drop at 20 % | deletion less that of removal |")
    print("|---|---|---|---|---|")
    for name in (*COMPARED, "random"):
        cells = [interval([row[name][figure] for row in rows]) for figure in FIGURES]
        apart = [row[name]["deletion"] - row[COMPARED[0]]["deletion"] for row in rows]
        title = METHODS[name].title if name in METHODS else "Random order"
        print(f"| {title} | {' | '.join(cells)} | {interval(apart) if name != COMPARED[0] else ''} |")


if __name__ == "__main__":
    main()
