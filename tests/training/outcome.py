"""What two runs must have in common to be the same run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.training.toys import hash_of
from vitrail.training import checkpoint

TIMES = {"images_per_second", "seconds"}


def outcome(folder: Path) -> dict[str, Any]:
    """Everything a run leaves behind but how long it took."""
    last = checkpoint.resolve(folder, "last")
    training = checkpoint.load_training(last)
    return {
        "last": last.name,
        "best": checkpoint.resolve(folder, "best").name,
        "checkpoints": sorted(path.name for path in (folder / "checkpoints").iterdir()),
        "exported": (last / "model.safetensors").read_bytes(),
        "learner": hash_of(training["learner"]),
        "state": without_times(training["state"]),
        "summary": without_times(json.loads((folder / "summary.json").read_text())),
        "rows": evaluations(folder),
    }


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """The rows of evaluations; those of training are means over the steps since a resume."""
    return [row for row in rows(folder) if row["kind"] == "evaluate"]


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in TIMES}


def saved_step(folder: Path) -> int:
    """The step a run would go on after."""
    last = checkpoint.pointed(folder / "checkpoints", "last")
    return int(last.name.removeprefix("step_")) if last else 0
