"""vitrail: train, see into and trust vision transformers.

The names below are imported when first used, so that ``import vitrail`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vitrail.errors import VitrailError as VitrailError
    from vitrail.models.zoo import list_models as list_models
    from vitrail.verbs.doctor import doctor as doctor
    from vitrail.verbs.evaluate import evaluate as evaluate
    from vitrail.verbs.look import look as look
    from vitrail.verbs.predict import predict as predict
    from vitrail.verbs.pretrain import pretrain as pretrain
    from vitrail.verbs.tour import tour as tour
    from vitrail.verbs.train import train as train
    from vitrail.weights.checkpoint import open_checkpoint as open_checkpoint
    from vitrail.weights.create import create_model as create_model
    from vitrail.weights.load import load_weights as load_weights

_HOMES = {
    "VitrailError": "vitrail.errors",
    "create_model": "vitrail.weights.create",
    "doctor": "vitrail.verbs.doctor",
    "evaluate": "vitrail.verbs.evaluate",
    "list_models": "vitrail.models.zoo",
    "load_weights": "vitrail.weights.load",
    "look": "vitrail.verbs.look",
    "open_checkpoint": "vitrail.weights.checkpoint",
    "predict": "vitrail.verbs.predict",
    "pretrain": "vitrail.verbs.pretrain",
    "tour": "vitrail.verbs.tour",
    "train": "vitrail.verbs.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vitrail' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
