"""Where ``vitrail predict`` leaves what it draws."""

from __future__ import annotations

from pathlib import Path

from vitrail.errors import ConfigError
from vitrail.paths import user_path
from vitrail.runs.run_folder import output_folder
from vitrail.settings import PredictSettings


def out_folder(settings: PredictSettings) -> Path:
    """Return the folder for what is drawn and found."""
    return user_path(settings.out, ConfigError) if settings.out else output_folder(settings.checkpoint, "predictions")
