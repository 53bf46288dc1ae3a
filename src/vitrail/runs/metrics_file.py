"""The rows of a run's ``metrics.jsonl``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's ``metrics.jsonl``; lines that are no rows are left out.

    A run that goes on may be writing its last line, and a killed one may have left half of it.
    """
    lines = (folder / "metrics.jsonl").read_bytes().splitlines()
    return [row for row in map(_row, lines) if row is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


__all__ = ["read_metrics"]
