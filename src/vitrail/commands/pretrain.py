"""``vitrail pretrain``: an encoder from images without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.data.sources import Source
from vitrail.runs.finish_run import finish_run
from vitrail.runs.held_out import check_share
from vitrail.runs.place import check_place
from vitrail.runs.prepare import prepare
from vitrail.runs.run_folder import default_folder
from vitrail.runs.run_training import Result, run_training
from vitrail.runs.split import run_split
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
    check_place(settings.out, default_folder("pretrain", settings.data), [settings.data])
    source = run_split(settings)
    check_share(settings, source)
    return learn(settings, source)


@distributed.processes()
def learn(settings: PretrainSettings, source: Source) -> Result:
    """Pretrain on an open source, and draw and report the run."""
    result = run_training(prepare(settings, source))
    finish_run(result, "Pretraining", source)
    return result
