"""Which options of ``evaluate`` and ``predict`` mean something to a task: the others are refused in a sentence.

A value that is the default was not asked for and may stand.
"""

from __future__ import annotations

from vitrail.errors import ConfigError
from vitrail.settings import EvaluateSettings, PredictSettings, Scoring
from vitrail.tasks.registry import find_spec

OF_PREDICTION: dict[str, dict[str, str]] = {
    "classify": {},  # `vitrail.tasks.classification.predictions` says more of these.
    "detect": {"top": "names all it finds above --threshold", "batch_size": "looks at images one by one"},
    "segment": {"threshold": "gives every pixel its best class", "batch_size": "scores images one by one"},
}
"""Options of ``predict`` that mean nothing to a task, and why."""


def check_evaluation(settings: EvaluateSettings, task: str) -> None:
    """Check that every option of an evaluation means something to the checkpoint's task.

    Raises:
        ConfigError: one does not.
    """
    if task != "segment":
        _check_scoring(settings.scoring, task)
    elif settings.batch_size != EvaluateSettings.batch_size:
        raise ConfigError("--batch-size means nothing to a segmenter, which scores images one by one; leave it out")


def check_prediction(settings: PredictSettings, task: str) -> None:
    """Check that every option of a prediction means something to the checkpoint's task.

    Raises:
        ConfigError: one does not.
    """
    if task == "detect":
        _check_scoring(settings.scoring, task)
    for name, why in OF_PREDICTION[task].items():
        if getattr(settings, name) != getattr(PredictSettings, name):
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option} means nothing to {find_spec(task).noun}, which {why}; leave it out")


def _check_scoring(scoring: Scoring, task: str) -> None:
    if scoring != Scoring():
        noun = find_spec(task).noun
        raise ConfigError(f"--scoring is for a segmenter; {noun} looks at each image once, as a whole")


__all__ = ["check_evaluation", "check_prediction"]
