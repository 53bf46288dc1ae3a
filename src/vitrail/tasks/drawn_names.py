"""The names of what is drawn of images: no image is drawn over, and no two drawings have one name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitrail.console import quoted
from vitrail.errors import ConfigError


def make_folder(out: Path) -> None:
    """Make the folder for what is drawn.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"nothing can be written to {quoted(out)} ({error.strerror or error}); choose another place with --out"
        ) from None


def own_names(files: Iterable[Path], out: Path) -> set[str]:
    """Return the names, without ending, of the images that lie in the folder itself: they must not be drawn over."""
    return {file.stem for file in files if file.resolve().parent == out.resolve()}


def unused_name(stem: str, used: set[str]) -> str:
    """Return a name that no other image of this call has: images of two folders may be called the same."""
    name, number = stem, 1
    while name in used:
        number += 1
        name = f"{stem}-{number}"
    used.add(name)
    return name
