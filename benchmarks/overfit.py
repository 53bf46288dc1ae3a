"""Learn eight real images by heart: whatever a detector gets wrong then, it is not for want of images.

The first eight training images of a COCO folder without crowds whose smallest object covers half a percent of them
are copied to OUT/eight, as both splits; a ViT-Ti under Mask R-CNN is trained on them and measured on the same.

    python benchmarks/overfit.py DATA/coco_mini DATA/weights/deit_tiny_patch16_224.safetensors OUT
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import vitrail

IMAGES = 8
SMALLEST = 0.005


def choose(annotations: dict[str, Any]) -> dict[str, Any]:
    """Return the annotations of the images to learn, as COCO's json."""
    objects: dict[int, list[dict[str, Any]]] = {}
    for one in annotations["annotations"]:
        objects.setdefault(one["image_id"], []).append(one)

    def suits(image: dict[str, Any]) -> bool:
        own, area = objects.get(image["id"], []), image["width"] * image["height"]
        return bool(own) and all(not one["iscrowd"] and one["area"] >= SMALLEST * area for one in own)

    images = [image for image in annotations["images"] if suits(image)][:IMAGES]
    return {**annotations, "images": images, "annotations": [o for p in images for o in objects[p["id"]]]}


def main() -> None:
    source, weights, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    chosen = choose(json.loads((source / "annotations" / "instances_train.json").read_text()))
    data = out / "eight"
    (data / "annotations").mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        (data / split).mkdir(exist_ok=True)
        (data / "annotations" / f"instances_{split}.json").write_text(json.dumps(chosen))
        for image in chosen["images"]:
            shutil.copy(next(source.rglob(image["file_name"])), data / split)
    result = vitrail.train(
        str(data),
        out=str(out / "run"),
        task="detect",
        model="vit_ti16",
        weights=weights,
        image_size=320,
        epochs=80,
        batch_size=4,
        lr=5e-4,
        dense={"jitter": "none"},
        augment={"flip": 0.0},
        loader={"workers": 0},
        run={"evaluate_every": 20, "save_every": 20},
    )
    print(vitrail.evaluate(str(result.folder), str(data)))


if __name__ == "__main__":
    main()
