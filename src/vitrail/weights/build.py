"""A model that has all its weights from a file: built as shapes, so that the memory of its weights is taken once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.layers.shapes_only import computed_only, shapes_only
from vitrail.seeding import preserved
from vitrail.weights.reader import State

ALIGNED = 64
"""Bytes to whose multiples torch's own tensors are aligned; kernels may add up in another order where they are not."""


def build_filled(build: Callable[[], nn.Module], fill: Callable[[nn.Module], object]) -> nn.Module:
    """Build a model with weights instead of first values, in evaluation mode.

    Args:
        build: builds the model.
        fill: gives it its weights, with `give`; what it leaves out has the values that ``build`` gives it.
    """
    with shapes_only():
        model = build()
    fill(model)
    _complete(model, build)
    return model.eval()


def give(model: nn.Module, fitted: State, *, copy: bool = False) -> None:
    """Give a model tensors under its own names and in its shapes: copied, or as they are where it has only shapes.

    Args:
        model: changed in place.
        fitted: emptied on the way, so that a tensor that has to be copied is not held twice.
        copy: somebody else keeps the tensors; the model gets copies in any case.
    """
    if not any(tensor.is_meta for _, tensor in _tensors(model)):
        model.load_state_dict(fitted, strict=False)
        return
    wanted, taken = {name: tensor.dtype for name, tensor in _tensors(model)}, set()
    for name in list(fitted):
        given = fitted.pop(name)
        own = _own(given.clone() if copy else given, wanted[name], taken)
        taken.add(own.untyped_storage().data_ptr())
        model.load_state_dict({name: own}, strict=False, assign=True)


def _own(tensor: Tensor, dtype: torch.dtype, taken: set[int]) -> Tensor:
    """Return a tensor that a parameter can be: of its type, in one piece, and alone in its memory."""
    found = tensor.detach().to(dtype).contiguous()
    storage = found.untyped_storage()
    is_alone = storage.nbytes() == found.numel() * found.element_size() and storage.data_ptr() not in taken
    return found if is_alone and found.data_ptr() % ALIGNED == 0 else found.clone()


def _complete(model: nn.Module, build: Callable[[], nn.Module]) -> None:
    """Give a model what its file did not hold: tables that are computed, and first values of what is to be learned."""
    lacking = [name for name, tensor in _tensors(model) if tensor.is_meta]
    if not lacking:
        return
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    with preserved(), nullcontext() if learned & set(lacking) else computed_only():
        values = dict(_tensors(build()))
    for name in lacking:
        owner, _, last = name.rpartition(".")
        module = model.get_submodule(owner)
        held: dict[str, Any] = vars(module)["_parameters" if last in module._parameters else "_buffers"]
        held[last] = values[name]


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


__all__ = ["build_filled", "give"]
