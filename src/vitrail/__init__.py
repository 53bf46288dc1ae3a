"""vitrail: train, see into and trust vision transformers.

The names below are imported when first used, so that ``import vitrail`` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vitrail.weights.create import create_model as create_model
    from vitrail.models.zoo import list_models as list_models

_HOMES = {
    "create_model": "vitrail.weights.create",
    "list_models": "vitrail.models.zoo",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vitrail' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*_HOMES, "__version__"])
