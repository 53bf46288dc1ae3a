"""``vitrail doctor``: what is installed and used here, and whether a data set is fit to train on."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from vitrail.data.images import open_image
from vitrail.data.sources import Pictures, open_source
from vitrail.errors import DataError, ImageError
from vitrail.settings import DoctorSettings
from vitrail.verbs.say import say, say_table

EXTRAS = {"tensorboard": "tensorboard", "timm": "test", "transformers": "test"}


@dataclass
class Check:
    """What is wrong or worth knowing about a data set.

    Attributes:
        pictures: how many, by split.
        classes: for each class, how many by split.
        sizes: smallest, median and largest height and width, in pixels.
        damaged: files that cannot be read, and why.
        duplicates: pairs of files with the same content in different splits, which make figures too good.
        notes: what was found out on the way.
    """

    pictures: dict[str, int] = field(default_factory=dict)
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def doctor(data: str | None = None) -> dict[str, Any]:
    """Return what is installed and used here and, with ``data``, a `Check` of that data set as ``"data"``."""
    report: dict[str, Any] = {"environment": environment()}
    if data:
        report["data"] = vars(check(data))
    return report


def run(settings: DoctorSettings) -> None:
    """Examine and print."""
    report = doctor(settings.data)
    if settings.json:
        print(json.dumps(report))
        return
    say_table("environment", ("what", "is"), list(report["environment"].items()))
    if settings.data:
        _print(Check(**report["data"]), settings.data)


def environment() -> dict[str, str]:
    """Return versions, hardware, and the precision that ``auto`` means here."""
    import torch

    from vitrail.training.precision import device, resolve

    found = device("auto")
    precision = resolve("auto", found)
    facts = {name: _version(name) for name in ("vitrail", "torch", "torchvision", "pillow", "scikit-learn")}
    facts["device"] = torch.cuda.get_device_name(found) if found.type == "cuda" else found.type
    facts["threads"] = f"{torch.get_num_threads()} of {os.cpu_count()} cores"
    facts["precision auto"] = f"{precision.name} ({precision.reason})"
    for name, extra in EXTRAS.items():
        version = _version(name)
        facts[name] = version if version else f'not installed; pip install "vitrail[{extra}]"'
    return facts


def check(data: str) -> Check:
    """Open every picture of a data set and look for what would spoil a run or its figures.

    Raises:
        DataError: the data set cannot be opened at all.
    """
    source = _open(data)
    found = Check(notes=source.notes)
    first_split: dict[str, tuple[str, str]] = {}
    heights, widths = [], []
    for split, pictures in (("train", source.train), ("validation", source.validation), ("test", source.test)):
        if pictures is None or not len(pictures):
            continue
        found.pictures[split] = len(pictures)
        for name, count in _per_class(pictures, source.class_names):
            found.classes.setdefault(name, {})[split] = count
        for number, item in enumerate(pictures.items):
            try:
                picture = open_image(item) if isinstance(item, Path) else item
            except ImageError as error:
                found.damaged.append(str(error))
                continue
            widths.append(picture.width)
            heights.append(picture.height)
            digest = hashlib.blake2b(picture.tobytes(), digest_size=16).hexdigest()
            name = pictures.names[number]
            other_split, other = first_split.setdefault(digest, (split, name))
            if other_split != split:
                found.duplicates.append((f"{other_split}: {other}", f"{split}: {name}"))
    for name, values in (("height", sorted(heights)), ("width", sorted(widths))):
        if values:
            found.sizes[f"{name} median"] = (values[len(values) // 2],) * 2
            found.sizes[f"{name} from, to"] = (values[0], values[-1])
    return found


def _open(data: str) -> Any:
    try:
        return open_source(data)
    except DataError as error:
        try:
            return open_source(data, labels=False)
        except DataError:
            raise error from None


def _per_class(pictures: Pictures, names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    counts = Counter(pictures.labels or ())
    for label, name in enumerate(names):
        yield name, counts[label]


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _print(found: Check, data: str) -> None:
    splits = list(found.pictures)
    rows = [(name, *(counts.get(split, 0) for split in splits)) for name, counts in found.classes.items()]
    say_table(data, ("class", *splits), [*rows, ("all", *found.pictures.values())])
    for note in found.notes:
        say(note)
    say(", ".join(f"{name} {a}" if a == b else f"{name} {a} to {b}" for name, (a, b) in found.sizes.items()))
    _list("damaged", found.damaged)
    _list("in two splits", [f"{a} = {b}" for a, b in found.duplicates])
    sizes = [counts.get("train", 0) for counts in found.classes.values()]
    if sizes and max(sizes) > 4 * max(1, min(sizes)):
        say(f"imbalanced: {min(sizes)} to {max(sizes)} a class; --loader.balanced True draws them equally often")
    if not found.damaged and not found.duplicates:
        say("nothing is wrong with it")


def _list(what: str, lines: list[str]) -> None:
    if lines:
        say(f"{len(lines)} {what}:")
        for line in lines[:10]:
            say(f"  {line}")
