"""``vitrail pretrain``: an encoder from images without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.data.sources import Source
from vitrail.runs.finish_run import finish_run
from vitrail.runs.prepare import open_data, prepare
from vitrail.runs.run_training import Result, run_training
from vitrail.settings import PretrainSettings
from vitrail.tasks.asked import settings_asked
from vitrail.training import distributed


def pretrain(data: str | Path, *, recipe: str = "auto", **settings: Any) -> Result:
    """Pretrain an encoder on images without labels.

    Args:
        data: a folder of images (labels are ignored), a CSV, or "digits".
        recipe: the settings to begin with.
        **settings: any field of `vitrail.settings.PretrainSettings`; nested ones as dicts.

    Returns:
        The run folder and the metrics of the best evaluation.

    Raises:
        VitrailError: data, settings or weights cannot be used; nothing was trained.
        Interrupted: asked to stop; the same call goes on.
    """
    return run(settings_asked(PretrainSettings, data, recipe, settings))


@distributed.processes()
def run(settings: PretrainSettings) -> Result:
    """Pretrain as the settings say; `pretrain` explains."""
    return learn(settings, open_data(settings))


@distributed.processes()
def learn(settings: PretrainSettings, source: Source) -> Result:
    """Pretrain on an open source, and draw and report the run."""
    result = run_training(prepare(settings, source))
    finish_run(result, "Pretraining", source)
    return result
