"""Paths as callers give them: text or `pathlib.Path`, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Any

from vitrail.console import printable
from vitrail.errors import DataError, VitrailError


def user_path(source: Any, error: type[VitrailError] = DataError) -> Path:
    """Return a path, with ``~`` for the user's home; the home of an unknown user is a name like any other.

    Args:
        source: text or a path.
        error: what is raised.

    Raises:
        VitrailError: it is neither text nor a path, or none that a file system could have.
    """
    if not isinstance(source, (str, PurePath)):
        raise error(f"expected a path, as text or pathlib.Path, not {type(source).__name__}")
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (pathlib's own fails for an unknown user)
    try:
        if "\0" in str(path):
            raise ValueError("it holds a null character")
        path.exists()
    except (OSError, ValueError) as reason:
        said = getattr(reason, "strerror", None) or reason
        raise error(f"{printable(str(source)[:80])} cannot be the path of a file ({said})") from None
    return path


__all__ = ["user_path"]
