"""Where ``vitrail predict`` leaves what it draws."""

from __future__ import annotations

from pathlib import Path

from vitrail.errors import ConfigError, WeightsError
from vitrail.paths import user_path
from vitrail.settings import PredictSettings


def out_folder(settings: PredictSettings) -> Path:
    """Return the folder for what is drawn and found."""
    root = user_path(settings.checkpoint, WeightsError)
    return user_path(settings.out, ConfigError) if settings.out else (root if root.is_dir() else Path()) / "predictions"
