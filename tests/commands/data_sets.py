"""Small data sets of every task and layout, written from records: a change of the records is a change of the data."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIDE = 32


@dataclass(frozen=True)
class Record:
    """One image: its split in the data ("" without), its class, its name, the seed of its pixels, and its side."""

    split: str
    label: str
    name: str
    seed: int
    side: int = SIDE


Records = tuple[Record, ...]


def records(per_class: int, labels: Iterable[str] = ("ant", "bee"), split: str = "", first: int = 0) -> Records:
    """Return images of some classes; all have names and pixels of their own."""
    numbered = [(label, n) for label in labels for n in range(per_class)]
    return tuple(Record(split, label, f"{split}{label}{n}", first + k) for k, (label, n) in enumerate(numbered))


def pixels(record: Record) -> Image.Image:
    """Return noise; as BMP files all images of one side are of one size."""
    values = np.random.default_rng(record.seed).integers(0, 256, (record.side, record.side, 3), dtype=np.uint8)
    return Image.fromarray(values)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def class_folders(root: Path, data: Records) -> Path:
    for record in data:
        _save(pixels(record), root / record.split / record.label / f"{record.name}.bmp")
    return root


def csv_file(root: Path, data: Records) -> Path:
    rows = ["file,label,split"]
    for record in data:
        _save(pixels(record), root / "files" / f"{record.name}.bmp")
        rows.append(f"files/{record.name}.bmp,{record.label},{record.split}")
    if not any(record.split for record in data):
        rows = [row.rsplit(",", 1)[0] for row in rows]
    (root / "list.csv").write_text("\n".join(rows))
    return root / "list.csv"


def any_folder(root: Path, data: Records) -> Path:
    for record in data:
        _save(pixels(record), root / record.split / f"{record.name}.bmp")
    return root


def masks(root: Path, data: Records) -> Path:
    names = sorted({record.label for record in data})
    for record in data:
        _save(pixels(record), root / "images" / record.split / f"{record.name}.bmp")
        mask = np.full((record.side, record.side), names.index(record.label), np.uint8)
        mask[: record.side // 2] = 0
        _save(Image.fromarray(mask), root / "masks" / record.split / f"{record.name}.png")
    (root / "classes.txt").write_text("\n".join(names))
    return root


def coco(root: Path, data: Records) -> Path:
    names = sorted({record.label for record in data})
    for split in sorted({record.split or "train" for record in data}):
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, record in enumerate(one for one in data if (one.split or "train") == split):
            _save(pixels(record), root / "images" / split / f"{record.name}.bmp")
            size = {"width": record.side, "height": record.side}
            images.append({"id": number + 1, "file_name": f"{record.name}.bmp", **size})
            box = [4, 6, record.side // 2, record.side // 3]
            annotations.append(
                {
                    "id": number + 1,
                    "image_id": number + 1,
                    "category_id": names.index(record.label) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(names)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations").mkdir(parents=True, exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


Write = Callable[[Path, Records], Path]

WRITERS: dict[str, tuple[str, Write]] = {
    "class folders": ("classify", class_folders),
    "a CSV file": ("classify", csv_file),
    "images with masks": ("segment", masks),
    "COCO": ("detect", coco),
    "any folder": ("pretrain", any_folder),
}
"""For each layout the task it is for, and what writes it."""


def write_anew(write: Write, root: Path, data: Records) -> Path:
    """Write a data set in the place of another one."""
    shutil.rmtree(root, ignore_errors=True)
    return write(root, data)
