"""Paths of weights as callers give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.errors import WeightsError
from vitrail.paths import user_path


def path_of(source: Any) -> Path:
    """Return a path, with ``~`` for the user's home.

    Raises:
        WeightsError: it is neither text nor a path, or none that a file system could have.
    """
    return user_path(source, WeightsError)
