"""Where ``vitrail predict`` leaves the pictures it draws."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitrail.settings import PredictSettings
from vitrail.verbs.place import check_place


def out_folder(settings: PredictSettings) -> Path:
    """Return the folder for what is drawn and found, made where it is not there."""
    root = Path(settings.checkpoint).expanduser()
    out = check_place(settings.out, (root if root.is_dir() else Path()) / "predictions")
    out.mkdir(parents=True, exist_ok=True)
    return out


def own_names(files: Iterable[Path], out: Path) -> set[str]:
    """Return the names, without ending, of the pictures that lie in the folder itself: they must not be drawn over."""
    return {file.stem for file in files if file.resolve().parent == out.resolve()}


def unused_name(stem: str, used: set[str]) -> str:
    """Return a name that no other picture of this call has: pictures of two folders may be called the same."""
    name, number = stem, 1
    while name in used:
        number += 1
        name = f"{stem}-{number}"
    used.add(name)
    return name
