"""The weights inside what a training script saved around them: a dict in a dict, beside optimizer, EMA and counters."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from vitrail.errors import WeightsError

# What training scripts put a state dict into, the likelier first.
WRAPPERS = (
    "model",
    "state_dict",
    "module",
    "model_state",
    "teacher",
    "model_state_dict",
    "net",
    "network",
    "weights",
    "params",
)

# Under these names stand averages of the weights over training.
AVERAGES = ("model_ema", "ema", "state_dict_ema", "ema_state_dict", "ema_model", "model_ema_state_dict")

# Under these, what no model consists of.
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|args|config|hyper|rng|callback|loop|criterion|loss|metric|queue", re.I)

DEEPEST = 6
"""How many dicts may lie in one another, so that one that holds itself comes to an end."""


def unwrap(content: Any, path: Path) -> tuple[dict[str, Tensor], str]:
    """Find the weights inside what was saved around them.

    Args:
        content: what the file holds.
        path: the file, for error messages.

    Returns:
        The named tensors, and a sentence where the file holds averaged (EMA) weights too; else "".

    Raises:
        WeightsError: there are no tensors, or several sets of which none is known to be the model's.
    """
    note = ""
    for _ in range(DEEPEST):
        key = _inner(content, path)
        if key is None:
            break
        note = note or _about_averages(content, key)
        content = content[key]
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a dict of named tensors")
    tensors = {str(name): value.detach() for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(str(key)[:40] for key in list(content)[:5])
        raise WeightsError(f"{path} holds no tensors; its keys are {keys or 'none'}")
    return tensors, note


def _inner(content: Any, path: Path) -> Any:
    """Return the key of the dict that holds the weights; None where they lie here."""
    if not isinstance(content, dict):
        return None
    inside = [key for key, value in content.items() if isinstance(value, dict)]
    for key in WRAPPERS:
        if key in inside:
            return key
    holding = [key for key in inside if _holds_weights(content[key]) and not NOT_WEIGHTS.search(str(key))]
    if not holding or _count(content) > 1:
        return None
    averages = [key for key in AVERAGES if key in holding]
    others = [key for key in holding if key not in averages]
    if len(others) > 1:
        names = ", ".join(repr(str(key)[:40]) for key in others[:5])
        raise WeightsError(f"{path} holds {len(others)} sets of weights ({names}); save the one you mean by itself")
    return (others or averages)[0]


def _about_averages(content: dict[Any, Any], taken: Any) -> str:
    averages = [key for key in AVERAGES if key in content and isinstance(content[key], (dict, Tensor))]
    if taken in averages:
        return f"the weights taken are the averaged ones (EMA), under {taken!r}"
    if averages:
        return f"the file holds averaged weights (EMA) under {averages[0]!r} too; those under {taken!r} were taken"
    return ""


def _holds_weights(content: dict[Any, Any]) -> bool:
    """Whether a dict holds tensors by name, itself or one level down."""
    return _count(content) > 0 or any(isinstance(value, dict) and _count(value) > 0 for value in content.values())


def _count(content: dict[Any, Any]) -> int:
    return sum(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())


# What scripts put before every name of the model they train; with what may stand beside it under other names.
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "network.",
    "image_encoder.",
    "base_encoder.",
    "student.",
    "teacher.",
)
# These are vitrail's or transformers' own as well, and are stripped where nothing is recognised under them.
OWN_PREFIXES = ("vit.", "backbone.", "encoder.", "swin.")
BESIDE = re.compile(
    r"(module\.|model\.)?(criterion|loss\w*|metrics?|\w*_(loss|metric|acc|accuracy)|train_\w+|val_\w+|test_\w+|ema_\w+|"
    r"n_averaged|(dino|ibot)_\w*head|queue\w*|momentum_encoder|teacher\w*|predictor|projector|prompt_encoder|mask_decoder|"
    r"pixel_(mean|std)|mixup\w*)(\.|$)"
)


SELF_DISTILLED = re.compile(r"(dino|ibot)_\w*head\.")
"""Heads that DINO's teachers and students have beside their backbone."""


def peel(
    state: dict[str, Tensor], is_known: Callable[[dict[str, Tensor]], bool]
) -> tuple[dict[str, Tensor], list[str]]:
    """Strip what wrappers put before every name.

    Args:
        state: tensors by the file's names.
        is_known: whether names belong to a model that is known here as they are.

    Returns:
        The tensors under bare names, and the file's names of what belongs to no model: a criterion, a momentum encoder.
    """
    beside: list[str] = []
    for _ in range(DEEPEST):
        prefix = next((p for p in (*PREFIXES, *OWN_PREFIXES) if _strips(state, p, is_known)), None)
        if prefix is None:
            break
        beside += [name for name in state if not name.startswith(prefix)]
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    beside += [name for name in state if SELF_DISTILLED.match(name)]
    return {name: tensor for name, tensor in state.items() if not SELF_DISTILLED.match(name)}, beside


def _strips(state: dict[str, Tensor], prefix: str, is_known: Callable[[dict[str, Tensor]], bool]) -> bool:
    inside = [name for name in state if name.startswith(prefix)]
    if not inside or any(not BESIDE.match(name) for name in state if not name.startswith(prefix)):
        return False
    return prefix in PREFIXES or not is_known(state)
