"""What is remembered of fetched models from one command to the next: licences, and which files were compared already.

It is a file in vitrail's own cache folder. Without it, or where it cannot be written, licences are asked for again and
files compared again.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from vitrail.serialize import write_json

FILE = "fetched.json"


def is_checked(digest: str) -> bool:
    """Whether a file of this digest has been compared with it."""
    return digest in _read().get("checked", [])


def remember_checked(digest: str) -> None:
    """Note that a file of this digest has been compared with it."""
    content = _read()
    _write({**content, "checked": sorted({*content.get("checked", []), digest})})


def licence(repository: str) -> str:
    """Return the licence of a repository as it was when fetched last; "" where that is not known."""
    return str(_repository(repository).get("licence", ""))


def is_accepted(repository: str, named: str) -> bool:
    """Whether the licence of this name has been accepted for a repository."""
    return _repository(repository).get("accepted") == named


def remember_licence(repository: str, named: str, *, accepted: bool) -> None:
    """Note the licence of a repository, and that it has been accepted."""
    content = _read()
    said = {"licence": named, **({"accepted": named} if accepted else {})}
    if _repository(repository).items() >= said.items():
        return
    known = content.get("repositories", {})
    _write({**content, "repositories": {**known, repository: {**known.get(repository, {}), **said}}})


def _repository(repository: str) -> dict[str, Any]:
    return _read().get("repositories", {}).get(repository, {})


def _path() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrail" / FILE


_here: dict[str, Any] = {}
"""What this process knows where the file cannot be written."""


def _read() -> dict[str, Any]:
    try:
        content = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return _here
    return content if isinstance(content, dict) else _here


def _write(content: dict[str, Any]) -> None:
    _here.clear()
    _here.update(content)
    with contextlib.suppress(OSError, RuntimeError):  # no home folder, or none that can be written to
        _path().parent.mkdir(parents=True, exist_ok=True)
        write_json(_path(), content)


__all__ = ["is_accepted", "is_checked", "licence", "remember_checked", "remember_licence"]
