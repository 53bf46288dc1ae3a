"""Where ``vitrail predict`` leaves what it draws."""

from __future__ import annotations

from pathlib import Path

from vitrail.settings import PredictSettings


def out_folder(settings: PredictSettings) -> Path:
    """Return the folder for what is drawn and found."""
    root = Path(settings.checkpoint).expanduser()
    return Path(settings.out).expanduser() if settings.out else (root if root.is_dir() else Path()) / "predictions"
