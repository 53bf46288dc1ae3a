"""Whether what a command writes has a place: asked before any work is done, and answered in one sentence."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vitrail.console import quoted
from vitrail.errors import ConfigError, Interrupted

LONGEST_NAME = 255
"""Bytes that file systems allow for a name."""


@contextmanager
def kept_in(out: Path) -> Iterator[None]:
    """Do long work whose parts are kept in a folder as they are measured: what ends it early is a sentence.

    Raises:
        Interrupted: stopped by Ctrl-C; the same command goes on.
        ConfigError: the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; what was measured is kept in {out}, and the same command goes on", 130
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written ({error.strerror or error}); choose another folder with --out"
        ) from None


def check_place(
    out: str | None, otherwise: str | Path, data: Sequence[str] = (), *, option: str = "--out", file: bool = False
) -> Path:
    """Return the folder that a command is to write into, and make sure that it can; nothing is left behind.

    Args:
        out: what was asked for with the option.
        otherwise: the folder where nothing was.
        data: folders that are read. What is written must lie beside them: in one of them it would be data at the next
            run, and above one of them the data would lie in what is a run's own, to be moved or removed with it.
        option: what the place is given with.
        file: the place is a file's, not a folder's.

    Raises:
        ConfigError: the place cannot be written to, or lies in, at or above the data.
    """
    if out is not None and not out.strip():
        raise ConfigError(f"{option} is empty; name {'a file' if file else 'a folder'}")
    try:
        place = (Path(out) if out is not None else Path(otherwise)).expanduser()
        _check_name(place, option)
        if out is not None or data:
            _check_beside(place, data, option)
        _check_kind(place, option, file)
        _check_writable(place.parent if file else place, place, option)
    except OSError as error:
        raise _refused(out or otherwise, error.strerror or str(error), option) from None
    except (RuntimeError, ValueError) as error:  # no home folder, links in a circle, a name with a zero byte
        raise _refused(out or otherwise, str(error).splitlines()[0], option) from None
    return place


def _refused(place: str | Path, reason: str, option: str) -> ConfigError:
    return ConfigError(f"nothing can be written to {quoted(place)} ({reason}); choose another place with {option}")


def _check_name(place: Path, option: str) -> None:
    for part in place.parts:
        if len(os.fsencode(part)) > LONGEST_NAME:
            raise _refused(f"{part[:40]}...", f"a name of {len(os.fsencode(part))} bytes is too long", option)


def _check_beside(place: Path, data: Sequence[str], option: str) -> None:
    """Refuse a place that is, holds, or lies in a folder of data; links are followed."""
    resolved = place.resolve()
    for name in data:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            continue
        known = folder.resolve()
        where = {resolved == known: "is", known in resolved.parents: "lies inside", resolved in known.parents: "holds"}
        if True in where:
            said = f"{quoted(place)} {where[True]} the data {quoted(name)}"
            raise ConfigError(f"{option} {said}; choose a folder beside it with {option}")


def _check_kind(place: Path, option: str, file: bool) -> None:
    if file and place.is_dir():
        raise ConfigError(f"{option} {quoted(place)} is a folder; give a file")
    if not file and place.exists() and not place.is_dir():
        raise ConfigError(f"{option} {quoted(place)} is a file; give a folder")
    if not place.exists() and place.is_symlink():
        raise ConfigError(f"{option} {quoted(place)} is a link that leads nowhere; choose another place with {option}")


def _check_writable(folder: Path, place: Path, option: str) -> None:
    """Write into the nearest folder that is there, and take it away again: permissions alone do not tell."""
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists() or parent == parent.parent)
    if not nearest.is_dir():
        raise ConfigError(f"{option} {quoted(place)}: {quoted(nearest)} is a file and no folder")
    Path(tempfile.mkdtemp(prefix=".vitrail-", dir=nearest)).rmdir()


__all__ = ["check_place"]
