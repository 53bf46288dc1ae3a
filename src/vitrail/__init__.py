"""vitrail: train, see into and trust vision transformers.

The names below are imported when first used, so that ``import vitrail`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vitrail.commands.doctor import doctor as doctor
    from vitrail.commands.embed import embed as embed
    from vitrail.commands.embed import search as search
    from vitrail.commands.evaluate import evaluate as evaluate
    from vitrail.commands.look import look as look
    from vitrail.commands.plan import plan as plan
    from vitrail.commands.predict import predict as predict
    from vitrail.commands.pretrain import pretrain as pretrain
    from vitrail.commands.probe import probe as probe
    from vitrail.commands.stress import stress_test as stress_test
    from vitrail.commands.tour import tour as tour
    from vitrail.commands.train import train as train
    from vitrail.commands.trust import trust_card as trust_card
    from vitrail.commands.weights import convert_weights as convert_weights
    from vitrail.commands.weights import inspect_weights as inspect_weights
    from vitrail.commands.weights import verify_weights as verify_weights
    from vitrail.errors import VitrailError as VitrailError
    from vitrail.heads.names import list_models as list_models
    from vitrail.tasks.open_model import open_model as open_model
    from vitrail.weights.checkpoint import open_checkpoint as open_checkpoint
    from vitrail.weights.create import create_model as create_model
    from vitrail.weights.hub import from_pretrained as from_pretrained
    from vitrail.weights.hub import push_to_hub as push_to_hub
    from vitrail.weights.hub import save_pretrained as save_pretrained
    from vitrail.weights.load import load_weights as load_weights

_HOMES = {
    "VitrailError": "vitrail.errors",
    "convert_weights": "vitrail.commands.weights",
    "create_model": "vitrail.weights.create",
    "doctor": "vitrail.commands.doctor",
    "embed": "vitrail.commands.embed",
    "evaluate": "vitrail.commands.evaluate",
    "from_pretrained": "vitrail.weights.hub",
    "inspect_weights": "vitrail.commands.weights",
    "list_models": "vitrail.heads.names",
    "load_weights": "vitrail.weights.load",
    "look": "vitrail.commands.look",
    "open_model": "vitrail.tasks.open_model",
    "open_checkpoint": "vitrail.weights.checkpoint",
    "plan": "vitrail.commands.plan",
    "predict": "vitrail.commands.predict",
    "pretrain": "vitrail.commands.pretrain",
    "probe": "vitrail.commands.probe",
    "push_to_hub": "vitrail.weights.hub",
    "save_pretrained": "vitrail.weights.hub",
    "search": "vitrail.commands.embed",
    "stress_test": "vitrail.commands.stress",
    "tour": "vitrail.commands.tour",
    "train": "vitrail.commands.train",
    "trust_card": "vitrail.commands.trust",
    "verify_weights": "vitrail.commands.weights",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vitrail' has no attribute {name!r}")
    from vitrail.seeding import preserved

    with preserved():  # what is imported may draw from Python's global generator, as rich does
        return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
