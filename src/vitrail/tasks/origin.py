"""What weights are, as far as that decides on a recipe; nothing here imports torch."""

from __future__ import annotations

import json

from vitrail.errors import WeightsError
from vitrail.paths import user_path


def pretrained_here(weights: str) -> str | None:
    """Return what model a run of `vitrail pretrain` that began with no weights pretrained; None for other weights.

    It is a small encoder, in all likelihood.

    Args:
        weights: a run folder, a checkpoint, a pointer to one, or any other path, which is none.
    """
    path = user_path(weights, WeightsError)
    try:
        if path.is_file() and path.name in ("best", "last"):
            path = path.parent / path.read_text().strip()
        settings = json.loads((path / "config.json").read_text())
        # A checkpoint holds its run's settings beside a description of the model.
        settings = settings.get("settings", settings)
        began_with_none = "objective" in settings and settings.get("weights") is None
        return settings["model"] if began_with_none else None
    except (OSError, ValueError, AttributeError, KeyError, UnicodeDecodeError):
        return None
