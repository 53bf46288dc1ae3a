"""What the audit of `vitrail doctor --deep` finds of faults that were planted among the photographs of ``clothing``.

For each seed, all at once: 2 % of the labels are flipped to another class at random; 50 training images are copied into
another split, changed (JPEG of quality 50, rescaled to 60 %, cut by 5 %, mirrored, mirrored and cut); and 20 street
scenes of ``camvid`` stand among the clothes. Printed: average precision of the ranking of labels over the clothes, how
many of the 50 copies are found and which other pairs are, and the AUROC of the street scenes' outlier scores. Pairs
that are not planted are found without any planting, too: `REAL` names those that are copies by eye, the others are
false. The vectors of the 3,781 photographs are computed once and kept in WORK.

    python benchmarks/audit.py DATA WORK [--seeds 1 2 3] [--pixels]    # DATA has clothing/, camvid/, weights/

`--pixels` looks for copies without an encoder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from sklearn.metrics import average_precision_score, roc_auc_score

from vitrail.audit.descriptors import Describer
from vitrail.audit.images import audited_data
from vitrail.audit.study import Audit, Encoded, audit
from vitrail.config import make
from vitrail.data.item import FileItem, Item
from vitrail.data.listed import Listed
from vitrail.data.vector_chunks import Chunk
from vitrail.runs.described import FramedEmbedder, described
from vitrail.settings import DoctorSettings
from vitrail.tasks.find_preprocessing import settle_preprocessing
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import open_any

FLIPPED, COPIES, FOREIGN = 0.02, 50, 20
ENCODER = Path("weights") / "deit_tiny_patch16_224.safetensors"

REAL = frozenset(
    {
        # One photograph in two classes of the training images, shorts and skirt.
        frozenset(("6075b4a5-5b1a-4ce0-aea0-9dbfbca7c35c.jpg", "637a56e4-7fa6-4f75-8859-0f8902461554.jpg")),
    }
)
"""Pairs of files of ``clothing`` that are copies by eye."""


@dataclass(frozen=True)
class Found:
    """What was found of one seed's faults.

    Attributes:
        precision: average precision of the flipped labels among all labels of clothes.
        suspected: share of the flipped labels that are suggested to be checked, and how many suggestions there are.
        copies: how many of the 50 copies are found.
        others: pairs of other images that are said to be one.
        auroc: of the street scenes among the clothes.
        seconds: CPU seconds of the audit, vectors and descriptors apart.
    """

    precision: float
    suspected: tuple[float, int]
    copies: int
    others: tuple[frozenset[str], ...]
    auroc: float
    seconds: float

    @property
    def false(self) -> int:
        """How many of the other pairs are no copies by eye."""
        return sum(pair not in REAL for pair in self.others)


class Rows:
    """Descriptors and vectors of images, those of a folder kept.

    Args:
        data: the folder with ``weights``.
        work: where they are kept.
        encoder: whether vectors are computed.
    """

    def __init__(self, data: Path, work: Path, encoder: bool = True) -> None:
        self.work, self.describer, self.embedder = work, Describer(), None
        if encoder:
            runtime = Runtime.named("cpu", "fp32")
            opened = open_any(str(data / ENCODER))
            settings = make(DoctorSettings, data="x", deep=True, encoder="x", normalization="imagenet")
            self.embedder = FramedEmbedder.of(
                settle_preprocessing(opened, settings, (), runtime.device), "auto", runtime
            )

    def of(self, listed: Listed, name: str | None = None) -> list[Chunk]:
        """Return the descriptors and, where there is an encoder, the vectors."""
        found = []
        for what in (self.describer, self.embedder):
            if what is not None:
                folder = None if name is None else self.work / f"{name}-{type(what).__name__}"
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                found.append(described(what, listed, folder, what.about() | {"images": listed.digest()}, 0))
        return found


def measured(data: Path, work: Path, seed: int, rows: Rows) -> Found:
    """Plant the faults of a seed among the clothes, audit, and compare."""
    clothes = audited_data(str(data / "clothing"))
    known = rows.of(clothes.listed, "clothing")
    random = np.random.default_rng(seed)
    labels, flipped = _flipped(clothes.listed.labels, random)
    planted, sources = _planted(clothes.listed, data, work / f"planted-{seed}", random)
    parts = [_joined(*pair) for pair in zip(known, rows.of(planted), strict=True)]
    listed = Listed(
        (*clothes.listed.items, *planted.items), (*labels, *planted.labels), (*clothes.listed.splits, *planted.splits)
    )
    began = time.process_time()
    found = audit(replace(clothes, listed=listed), parts[0], _encoded(parts[1:]), None, "")
    return _compared(found, flipped, sources, time.process_time() - began)


def _flipped(labels: Sequence[str | None], random: np.random.Generator) -> tuple[list[str], np.ndarray]:
    changed = [str(label) for label in labels]
    names = sorted(set(changed))
    flipped = random.choice(len(changed), round(FLIPPED * len(changed)), replace=False)
    for number in flipped:
        changed[number] = str(random.choice([name for name in names if name != changed[number]]))
    return changed, np.isin(np.arange(len(changed)), flipped)


def _planted(listed: Listed, data: Path, folder: Path, random: np.random.Generator) -> tuple[Listed, list[int]]:
    """Write the copies; return them and the street scenes, and the numbers of the images that were copied."""
    folder.mkdir(parents=True, exist_ok=True)
    training = [number for number, split in enumerate(listed.splits) if split == "train"]
    sources = random.choice(training, COPIES, replace=False).tolist()
    items: list[Item] = []
    for place, number in enumerate(sources):
        path = folder / f"{place:02d}.jpg"
        image, quality = changed(listed.items[number].open(3), place % len(CHANGES), random)
        image.save(path, quality=quality)
        items.append(FileItem(str(path), path))
    streets = sorted((data / "camvid" / "images").rglob("*.jpg"))
    items += [FileItem(str(path), path) for path in random.choice(np.array(streets), FOREIGN, replace=False)]
    names = sorted({str(label) for label in listed.labels})
    labels = [listed.labels[number] for number in sources] + [str(name) for name in random.choice(names, FOREIGN)]
    return Listed(tuple(items), tuple(labels), (*("test",) * COPIES, *("train",) * FOREIGN)), sources


CHANGES = ("quality 50", "rescaled", "cut", "mirrored", "mirrored and cut")


def changed(image: Image.Image, way: int, random: np.random.Generator) -> tuple[Image.Image, int]:
    """Return a changed image and the JPEG quality it is to be saved with."""
    if CHANGES[way] == "quality 50":
        return image, 50
    if CHANGES[way] == "rescaled":
        return image.resize((round(0.6 * image.width), round(0.6 * image.height)), Image.Resampling.BICUBIC), 85
    if "cut" in CHANGES[way]:
        image = _cut(image, random)
    return (ImageOps.mirror(image) if "mirrored" in CHANGES[way] else image), 85


def _cut(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cut 5 % of the sides: at every edge, at one, or all of it at a random place."""
    (width, height), way = image.size, int(random.integers(3))
    x, y = round(0.05 * width), round(0.05 * height)
    if way == 0:
        return image.crop((x, y, width - x, height - y))
    if way == 1:
        return image.crop((x, 0, width, height))
    left, top = int(random.integers(x + 1)), int(random.integers(y + 1))
    return image.crop((left, top, left + width - x, top + height - y))


def _joined(known: Chunk, more: Chunk) -> Chunk:
    count = len(known.index) + len(known.damaged)
    index = np.concatenate([known.index, more.index + count])
    return Chunk(0, 1, index, np.concatenate([known.values, more.values]), known.damaged + more.damaged)


def _encoded(parts: list[Chunk]) -> Encoded | None:
    if not parts:
        return None
    width = parts[0].values.shape[1] // 2
    return Encoded("DeiT-Ti", parts[0].values[:, :width], parts[0].values[:, width:])


def _compared(found: Audit, flipped: np.ndarray, sources: list[int], seconds: float) -> Found:
    count = len(flipped)
    planted = {(source, count + place) for place, source in enumerate(sources)}
    pairs = {(pair.first, pair.second) for pair in found.pairs}
    # A copy of an image that itself has a copy is one of both.
    twins = {number for pair in pairs if max(pair) < count for number in pair}
    others = [pair for pair in pairs - planted if not (pair[1] >= count and pair[0] in twins)]
    names = tuple(frozenset(Path(found.data.called(number)).name for number in pair) for pair in others)
    precision, suspected, auroc = float("nan"), (float("nan"), 0), float("nan")
    if found.rows.doubts is not None and found.rows.outlier is not None:
        precision = float(average_precision_score(flipped, -found.rows.doubts.confidence[:count]))
        hit = found.rows.doubts.suggested[:count] >= 0
        suspected = float(hit[flipped].mean()), int(hit.sum())
        clothes = np.arange(len(found.rows.outlier)) < count
        foreign = np.arange(len(found.rows.outlier)) >= count + COPIES
        scores = found.rows.outlier[clothes | foreign]
        auroc = float(roc_auc_score(foreign[clothes | foreign], scores))
    return Found(precision, suspected, len(planted & pairs), names, auroc, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--pixels", action="store_true", help="without the encoder")
    arguments = parser.parse_args()
    rows = Rows(arguments.data, arguments.work, not arguments.pixels)
    for seed in arguments.seeds:
        found = measured(arguments.data, arguments.work, seed, rows)
        print_found(seed, found)


def print_found(seed: int, found: Any) -> None:
    share, suggestions = found.suspected
    print(
        f"seed {seed}: average precision of flipped labels {found.precision:.3f}, {share:.0%} of them among "
        f"{suggestions} suggestions; copies found {found.copies} of {COPIES}, other pairs {len(found.others)}, false "
        f"{found.false}; AUROC of street scenes {found.auroc:.4f}; {found.seconds:.0f} CPU seconds"
    )
    for pair in found.others:
        print(f"  {'real' if pair in REAL else 'FALSE'}: {' = '.join(sorted(pair))}")


if __name__ == "__main__":
    main()
