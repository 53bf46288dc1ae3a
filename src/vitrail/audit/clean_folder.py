"""A new folder with a data set as an audit suggests it: what must not be in it left out, and nothing else changed.

What is left out are images that cannot be read and copies of images that another split holds. Labels, outliers and all
else that is only suspicious stay as they are: they are for people to decide.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.audit.images import AuditedData
from vitrail.console import quoted
from vitrail.data.coco import annotation_files
from vitrail.errors import ConfigError, DataError, Interrupted
from vitrail.serialize import dumps, make_durable

TABLE = "labels.csv"


@dataclass
class Plan:
    """What is to be written.

    Attributes:
        files: where each file goes, relative to the new folder, and where it comes from.
        texts: what is written anew, by its place.
        images: how many of the files are images of the data set.
    """

    files: dict[Path, Path] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    images: int = 0


def check_clean_folder(place: Path, data: AuditedData) -> None:
    """Refuse a place that cannot hold the cleaned data, before anything is computed.

    Raises:
        ConfigError: there is something already, or the data lies in no files.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ConfigError(f"--write {quoted(place)} is there already and not empty; name a new folder")
    if data.root is None:
        raise ConfigError(f"{data.name} lies in no files, and --write copies files; leave it out")


def planned(data: AuditedData, left_out: Collection[int]) -> Plan:
    """Decide what goes where.

    Folders keep their layout, with the masks or the annotations of what stays. where classes are not named by folders,
    as of a table, images go into ``images`` beside a table ``labels.csv``.

    Raises:
        DataError: two images would have one place.
    """
    kept = [number for number in range(len(data.listed.items)) if number not in left_out]
    paths = {number: path for number in kept if (path := data.listed.items[number].path) is not None}
    plan = _as_folders(data, paths) if _is_told_by_folders(data, paths) else _as_table(data, paths)
    plan.images = len(paths)
    if data.kind == "objects":
        plan.texts |= _annotations(data, left_out)
    return plan


def _is_told_by_folders(data: AuditedData, paths: Mapping[int, Path]) -> bool:
    """Whether all files lie below the root, each below a folder that is called as its class."""
    root = data.root
    if root is None or not root.is_dir():
        return False
    for number, path in paths.items():
        label = data.listed.labels[number]
        if not path.is_relative_to(root) or (label is not None and label not in path.relative_to(root).parts[:-1]):
            return False
    return True


def _as_folders(data: AuditedData, paths: Mapping[int, Path]) -> Plan:
    assert data.root is not None
    plan = Plan({path.relative_to(data.root): path for path in paths.values()})
    for number in paths:
        for beside in data.beside.get(number, ()):
            plan.files[beside.relative_to(data.root)] = beside
    plan.files |= {file.relative_to(data.root): file for file in data.shared}
    return plan


def _as_table(data: AuditedData, paths: Mapping[int, Path]) -> Plan:
    if data.kind in ("objects", "segments"):
        raise DataError(f"images of {data.name} lie outside of its folder; --write keeps folders as they are")
    plan, called = Plan(), Counter(path.name for path in paths.values())
    rows = []
    for number, path in paths.items():
        place = Path("images") / (path.name if called[path.name] == 1 else f"{number}-{path.name}")
        if place in plan.files:
            raise DataError(f"two images would be called {place.name}; rename {quoted(path)}")
        plan.files[place] = path
        rows.append((place.as_posix(), data.listed.labels[number], data.listed.splits[number]))
    plan.texts[Path(TABLE)] = _table(rows)
    return plan


def _table(rows: Sequence[tuple[str, str | None, str | None]]) -> str:
    """Write a table of files with those of classes and splits that are known."""
    columns = [0, *(place for place in (1, 2) if any(row[place] is not None for row in rows))]
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([("file", "label", "split")[place] for place in columns])
    writer.writerows([row[place] or "" for place in columns] for row in rows)
    return lines.getvalue()


def _annotations(data: AuditedData, left_out: Collection[int]) -> dict[Path, str]:
    """Return COCO's files of annotations without the images that are left out."""
    assert data.root is not None
    gone = {(data.listed.splits[number], data.listed.items[number].name) for number in left_out}
    texts = {}
    for split, file in annotation_files(data.root).items():
        read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        read["images"] = [image for image in read["images"] if (split, image["file_name"]) not in gone]
        known = {image["id"] for image in read["images"]}
        read["annotations"] = [one for one in read.get("annotations", ()) if one["image_id"] in known]
        texts[file.relative_to(data.root)] = dumps(read) + "\n"
    return texts


def write_clean(
    place: Path, plan: Plan, *, link: bool = False, reached: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write a new folder: beside its place, and renamed into it once it is whole.

    Args:
        place: the folder; not there, or empty.
        plan: what goes into it.
        link: make hard links to files in place of copies.
        reached: called with how many files are done, and how many there are.

    Raises:
        DataError: a file cannot be copied; nothing is left behind.
        Interrupted: by Ctrl-C; likewise.
    """
    unfinished = place.with_name(f".{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of one that was killed
    try:
        for done, (target, file) in enumerate(plan.files.items(), start=1):
            _placed(unfinished / target, file, link)
            reached(done, len(plan.files))
        for target, text in plan.texts.items():
            (unfinished / target).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / target).write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        unfinished.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            place.rmdir()  # empty, as was checked; anything else is refused by the system
        unfinished.rename(place)
        make_durable(place.parent)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        advice = "; hard links reach no other disk: leave --hard-links out" if link else ""
        raise DataError(f"{quoted(place)} cannot be written ({error.strerror or error}){advice}") from error
    except BaseException as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"interrupted; nothing was written to {quoted(place)}", 130) from None
        raise


def _placed(target: Path, file: Path, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        os.link(file.resolve(), target)
    else:
        shutil.copy2(file, target)


__all__ = ["Plan", "check_clean_folder", "planned", "write_clean"]
