"""What counts as an image when a folder is searched, and in which order: one rule for every command.

Hidden files, what archives and desktops leave behind, and files that are no images are passed over and counted;
links are followed, but never round in a circle; broken links, pipes and devices are never opened.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from vitrail.data.images import IMAGE_SUFFIXES
from vitrail.errors import DataError

JUNK_NAMES = frozenset(
    {"__macosx", "_ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"}
    | {"@eadir", "lost+found"}
)
"""Lower-case names of files and folders that archives, desktops and file servers leave behind."""

UNREAD_SUFFIXES = frozenset(
    f".{word}"
    for word in [
        "heic",
        "heif",
        "avif",
        "jxl",
        "jp2",
        "j2k",
        "jpx",
        "ppm",
        "pgm",
        "pnm",
        "pbm",
        "tga",
        "psd",
        "svg",
        "eps",
        "ico",
        "exr",
        "hdr",
        "dds",
        "raw",
        "dng",
        "cr2",
        "cr3",
        "nef",
        "arw",
        "orf",
        "rw2",
        "raf",
        "dcm",
        "dicom",
        "nii",
        "mha",
        "npy",
        "npz",
        "mat",
        "mp4",
        "mov",
        "avi",
        "mkv",
        "webm",
    ]
)
"""Suffixes of files that show something, but that may not be in `IMAGE_SUFFIXES`."""

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "validation",
    "valid": "validation",
    "vld": "validation",
    "validation": "validation",
    "dev": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "holdout": "test",
}
"""Spellings of the three splits, as folder names and in a CSV file's column ``split``."""

FILLERS = frozenset({"", "set", "data", "dataset", "images", "image", "imgs", "img", "seg", "split"})
"""Words beside that of the split that say nothing."""
SPLIT_WORD = re.compile(rf"({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))})(?:set|data|images|imgs)?")
YEAR = re.compile(r"(?:19|20)\d\d$")
MOST_DIGITS = 4000
"""Digits of a number that count when names are sorted; Python refuses to read many more."""


def split_of(name: str) -> str | None:
    """Return the split that a folder, or a cell of a CSV file, is named after: train, validation, test or None.

    Besides the words themselves, such as ``valid`` or ``Testing``, these are understood: ``training_set``,
    ``trainset``, ``seg_train``, ``train_images``, ``train2017``, ``hold-out``.
    """
    word = name.strip().casefold().replace("hold-out", "holdout").replace("hold_out", "holdout")
    parts = [YEAR.sub("", part) for part in re.split(r"[-_ .]+", word)]
    named = [part for part in parts if part not in FILLERS]
    match = SPLIT_WORD.fullmatch(named[0]) if len(named) == 1 else None
    return SPLIT_WORDS[match[1]] if match else None


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or was left behind by an archive, desktop or file server."""
    return name.startswith(".") or name.casefold() in JUNK_NAMES


def is_image_name(name: str) -> bool:
    """Whether a file of this name is read when a folder is searched: by its suffix, in any case."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_junk(name)  # noqa: PTH122  (called very often)


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """Sort key in which ``a2`` comes before ``a10``, and case matters only between equals."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [_sortable(part) for part in parts], name


def list_folders(root: Path) -> list[Path]:
    """List the folders directly below, but junk, in natural order.

    Raises:
        DataError: the folder cannot be read.
    """
    below = [entry.name for entry in _entries(root) if _kind(entry) == "folder" and not is_junk(entry.name)]
    return [Path(root, name) for name in sorted(below, key=natural)]


def list_images(root: Path, passed_over: Counter[str] | None = None, *, deep: bool = True) -> list[Path]:
    """List the images of a folder, where ``deep`` of those below it too, in natural order.

    Args:
        root: the folder.
        passed_over: what is left out is counted here, by what it is.
        deep: whether to enter the folders below.

    Raises:
        DataError: a folder cannot be read.
    """
    return list(_walk(root, Counter() if passed_over is None else passed_over, deep))


def has_images(root: Path) -> bool:
    """Whether there is an image in a folder, at any depth; no more is read than until the first one.

    Raises:
        DataError: a folder cannot be read.
    """
    waiting, seen = [str(root)], set()
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(folder):
            if is_image_name(entry.name) and _kind(entry) == "file":
                return True
            if not is_junk(entry.name) and _kind(entry) == "folder":
                waiting.append(entry.path)
    return False


def folders_of_images(root: Path) -> list[str]:
    """Return the names of the folders directly below that hold images, at any depth.

    Raises:
        DataError: a folder cannot be read.
    """
    return [inner.name for inner in list_folders(root) if has_images(inner)]


def suffixes_below(root: Path) -> Counter[str]:
    """Count the suffixes of the files of a folder that are no images, at any depth; junk does not count."""
    found: Counter[str] = Counter()
    for _, _, others in _folders_and_files(root, Counter(), True):
        found.update(suffix_of(name) for name in others)
    return found


def unread_here() -> frozenset[str]:
    """Return the suffixes of images that count as such, but that need a package which is not installed, or a tool."""
    return frozenset({".jxl"} if find_spec("pi_heif") else {".jxl", ".heic", ".heif"})


def suffix_of(name: str) -> str:
    """Return a file's suffix in lower case, or ``no suffix``."""
    return os.path.splitext(name)[1].lower() or "no suffix"  # noqa: PTH122


def no_images(folder: Path) -> DataError:
    """Return the error of a folder without images, which names what it holds in their stead."""
    others = suffixes_below(folder)
    instead = f"; its files are {counted(others)}" if others else ""
    return DataError(f"{folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}){instead}")


def counted(counts: Counter[str], most: int = 4) -> str:
    """Say counts in words: ``.heic (12), .txt (1)``, the largest first."""
    shown = [f"{what} ({count:,})" for what, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    return ", ".join(shown[:most] + (["..."] if len(shown) > most else []))


def named(names: Iterable[str], most: int = 3) -> str:
    """List names in quotes, the first few of them: ``'a', 'b', 'c' and 4 more``."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(map(repr, every[:most])) + more


def _sortable(part: str) -> tuple[bool, int, str]:
    return not part.isdecimal(), int(part[:MOST_DIGITS]) if part.isdecimal() else 0, part


def _walk(root: Path, passed_over: Counter[str], deep: bool) -> Iterator[Path]:
    for folder, images, _ in _folders_and_files(root, passed_over, deep):
        yield from (Path(folder, name) for name in images)


def _folders_and_files(root: Path, passed_over: Counter[str], deep: bool) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk down from a folder: each folder with its images and its other files, in natural order."""
    waiting = [str(root)]
    seen = set()
    while waiting:
        folder = waiting.pop()
        real = os.path.realpath(folder)
        if real in seen:  # A link to a folder above itself would be followed for ever.
            continue
        seen.add(real)
        kinds: dict[str, list[str]] = {"folder": [], "image": [], "other": []}
        for entry in _entries(folder):
            kind = _kind(entry)
            if is_junk(entry.name):
                passed_over["hidden files"] += kind != "folder"
            elif kind == "file":
                kinds["image" if is_image_name(entry.name) else "other"].append(entry.name)
            elif kind == "folder":
                kinds["folder"].append(entry.name)
            else:
                passed_over[kind] += 1
        passed_over["files that are no images"] += len(kinds["other"])
        yield folder, sorted(kinds["image"], key=natural), kinds["other"]
        if deep:
            waiting += [os.path.join(folder, name) for name in sorted(kinds["folder"], key=natural, reverse=True)]  # noqa: PTH118


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read ({error.strerror})") from None


def _kind(entry: os.DirEntry[str]) -> str:
    """Say what an entry of a folder is: file, folder, or what must never be opened."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "pipes and devices" if not stat.S_ISLNK(entry.stat(follow_symlinks=False).st_mode) else "broken links"
    except OSError:  # A link that leads to itself, or a file that has just gone.
        return "broken links"


__all__ = [
    "IMAGE_SUFFIXES",
    "SPLIT_WORDS",
    "counted",
    "folders_of_images",
    "has_images",
    "is_image_name",
    "is_junk",
    "list_folders",
    "list_images",
    "named",
    "natural",
    "no_images",
    "split_of",
    "suffix_of",
    "suffixes_below",
    "unread_here",
]
