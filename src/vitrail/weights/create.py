"""Build a model and, if asked, give it weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.seeding import preserved
from vitrail.weights.build import build_filled
from vitrail.weights.load import load_weights, move_weights
from vitrail.weights.weights_file import WeightsFile


def create_model(
    name: str, *, weights: str | Path | WeightsFile | None = None, accept_license: bool = False, **options: Any
) -> nn.Module:
    """Build a model by name, with random weights or those of a file.

    Args:
        name: one of `vitrail.list_models`, or timm's name for it.
        weights: a weights file or checkpoint to start from; what it lacks (a head for other classes) is drawn as
            without one, but torch's random generator is left as it was.
        accept_license: the licence of weights that are fetched is accepted, where it asks for that.
        **options: as for `vitrail.heads.names.build_model`.

    Raises:
        ConfigError: unknown name or option; the nearest right ones are given.
        WeightsError: the weights cannot be read, or do not belong to the model.
    """
    if accept_license and (weights is None or isinstance(weights, WeightsFile)):
        raise ConfigError("accept_license is for weights that are fetched by name; leave it out")
    if weights is None:
        return build_model(name, **options)
    if isinstance(weights, WeightsFile):  # it is the caller's, and keeps its tensors
        with preserved():
            model = build_model(name, **options)
        load_weights(model, weights)
        return model
    opened = WeightsFile(weights, accept_license=accept_license)
    return build_filled(lambda: build_model(name, **options), lambda model: move_weights(model, opened)).train()
