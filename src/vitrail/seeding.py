"""The global random generators: drawn from by one thread at a time, and given back as they were found; no torch.

Dropout, new weights and transforms draw from torch's global generators, whatever vitrail does. So whoever seeds them
does it inside `seeded` or `preserved`: the caller's own random numbers go on as if nothing had happened, and another
thread that trains or opens a model in the meantime waits for its turn rather than disturbing this one.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_turn = threading.RLock()


def _new_turn() -> None:
    """Give a forked process a lock of its own: the thread that holds its parent's does not exist in it."""
    global _turn
    _turn = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_turn)


def in_turn() -> threading.RLock:
    """Return what keeps other threads from the global generators inside a ``with`` block."""
    return _turn


@contextmanager
def preserved() -> Iterator[None]:
    """Put the global generators of torch, numpy and Python back as they were when the ``with`` block ends.

    Meanwhile no other thread is inside such a block. Blocks may lie inside each other.
    """
    with _turn:
        before = _states()
        try:
            yield
        finally:
            _restore(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators, those of accelerators too, for the time of a ``with`` block; see `preserved`."""
    import torch

    with _turn:
        before = _torch_states()
        try:
            torch.manual_seed(seed)
            yield
        finally:
            _restore_torch(before)


def _states() -> tuple[Any, Any, Any]:
    numpy = sys.modules.get("numpy")
    return random.getstate(), numpy.random.get_state() if numpy else None, _torch_states()


def _restore(states: tuple[Any, Any, Any]) -> None:
    python, of_numpy, of_torch = states
    random.setstate(python)
    if of_numpy is not None:
        sys.modules["numpy"].random.set_state(of_numpy)
    _restore_torch(of_torch)


def _torch_states() -> tuple[Any, list[Any] | None]:
    """Return the states of torch's generators; of accelerators only where they are in use, for asking wakes them."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None, None
    on_gpus = torch.cuda.is_available() and torch.cuda.is_initialized()
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if on_gpus else None


def _restore_torch(states: tuple[Any, list[Any] | None]) -> None:
    torch = sys.modules.get("torch")
    if torch is None or states[0] is None:
        return
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state_all(states[1])


__all__ = ["in_turn", "preserved", "seeded"]
