"""Paths as callers give them: text or `pathlib.Path`, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Any

from vitrail.console import printable
from vitrail.errors import WeightsError


def path_of(source: Any) -> Path:
    """Return a path, with ``~`` for the user's home.

    Raises:
        WeightsError: it is neither text nor a path, or none that a file system could have.
    """
    if not isinstance(source, (str, PurePath)):
        raise WeightsError(f"expected a path, as text or pathlib.Path, not {type(source).__name__}")
    path = Path(os.path.expanduser(source))  # noqa: PTH111  (leaves the home of an unknown user as it is)
    try:
        if "\0" in str(path):
            raise ValueError("it holds a null character")
        path.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{printable(str(source)[:80])} cannot be the path of a file ({reason})") from None
    return path
