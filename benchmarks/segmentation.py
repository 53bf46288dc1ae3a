"""Segmentation of CamVid with a ViT-Ti: pretrained backbone and random one under UperNet, and the other heads.

python benchmarks/segmentation.py DATA/camvid DATA/weights/deit_tiny_patch16_224.safetensors OUT [NAME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import vitrail

CLASSES = "sky building pole road pavement tree sign fence car pedestrian bicyclist"
VOID = 11
EPOCHS = 12
# Without weights the lowest layers have as much to learn as all others.
ROWS: dict[str, dict[str, Any]] = {
    "upernet": {"head": "upernet"},
    "upernet, random": {"head": "upernet", "weights": None},
    "setr_pup": {"head": "setr_pup"},
    "setr_mla": {"head": "setr_mla"},
    "setr_naive": {"head": "setr_naive"},
    "linear": {"head": "linear"},
}


def row(name: str, data: str, weights: str, out: Path) -> str:
    """Train and measure one row of the table, or only measure it where it was trained before."""
    names = out / "camvid.txt"
    out.mkdir(parents=True, exist_ok=True)
    names.write_text(CLASSES.replace(" ", "\n"))
    start = ROWS[name].get("weights", weights)
    settings: dict[str, Any] = {
        "task": "segment",
        "model": "vit_ti16",
        "weights": start,
        "image_size": 224,
        "epochs": EPOCHS,
        "dense": {"head": ROWS[name]["head"], "ignore": VOID, "classes": str(names)},
        "run": {"evaluate_every": EPOCHS / 3, "save_every": EPOCHS / 3},
        "loader": {"workers": 0},
    }
    if start is None:
        settings["optim"] = {"layer_decay": 1.0}
    result = vitrail.train(data, out=str(out / name.replace(", ", "_")), **settings)
    figures = [vitrail.evaluate(str(result.folder), data, split="validation")]
    figures.append(vitrail.evaluate(str(result.folder), data, split="validation", scoring=many_passes()))
    cells = [f"{f.mean_iou:.4f}" for f in figures] + [f"{figures[0].pixel_accuracy:.4f}"]
    return f"| {name} | {' | '.join(cells)} | {result.summary['seconds'] / 60:.1f} |"


def many_passes() -> Any:
    """Return how the papers test: several scales, mirrored too."""
    from vitrail.settings import Scoring

    return Scoring(scales=(0.75, 1.0, 1.25), flip=True)


if __name__ == "__main__":
    data, weights, out, *names = sys.argv[1:]
    print("| head | mean IoU | three scales and flip | pixel accuracy | minutes |\n|---|---|---|---|---|", flush=True)
    for name in names or ROWS:
        print(row(name, data, weights, Path(out)), flush=True)
