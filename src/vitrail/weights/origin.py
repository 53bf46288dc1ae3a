"""Where weights come from: their licence, and what they were trained from, through the runs before them."""

from __future__ import annotations

from pathlib import Path

from vitrail.errors import VitrailError
from vitrail.weights.description import Description, describe
from vitrail.weights.named import is_on_hub, origin_of
from vitrail.weights.open_any import is_own_checkpoint
from vitrail.weights.pretrained import licence_in_table
from vitrail.weights.remembered import licence
from vitrail.weights.weights_file import WeightsFile

MOST_RUNS = 8
"""Runs that are followed from one to the one it started from."""

ASK = "not stated in what lies beside the weights; ask who made them"
OWN = "trained here from random weights: whoever trained it decides"


def licence_of_model(source: str | Path) -> str:
    """Return the licence of a model's weights in words.

    A run has that of the weights it began with; it is followed through the runs before it.

    Args:
        source: as for `vitrail.weights.named.find_model`.
    """
    for _ in range(MOST_RUNS):
        if is_on_hub(source):
            return _of_repository(origin_of(str(source)).repository)
        try:
            if not is_own_checkpoint(source):
                return WeightsFile(source).licence or ASK
            before = describe(source).settings.get("weights")
        except VitrailError:
            return f"not known: the weights it was trained from ({Path(source).name}) are not there any more"
        if not before:
            return OWN
        source = str(before)
    return ASK


def _of_repository(repository: str) -> str:
    """Return what is known here of a repository's licence, without asking the hub."""
    known = licence(repository) or licence_in_table(repository)
    return f"{known} ({repository})" if known else f"not stated by {repository}; ask who made it"


def began_with(description: Description) -> str:
    """Say what a run of vitrail's began with, a sentence; "" of weights that none wrote."""
    settings = description.settings
    if not settings:
        return ""
    before, recipe = settings.get("weights"), settings.get("recipe")
    started = f"from the weights {Path(str(before)).name}" if before else "from random weights"
    return f"Trained by vitrail {started}, recipe {recipe}." if recipe else f"Trained by vitrail {started}."


__all__ = ["began_with", "licence_of_model"]
