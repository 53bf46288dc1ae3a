"""Models as shapes without values, quickly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_DRAWN: dict[Any, Any] = {torch.randn: torch.empty, torch.rand: torch.empty}
_CHANGED = frozenset({"normal_", "uniform_", "erfinv_", "mul_", "add_", "clamp_", "fill_", "zero_", "mul", "__mul__"})
"""What first values are made by; each leaves the shape as it is."""


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build the modules inside a ``with`` block on the meta device: shapes and no values.

    ``torch.device("meta")`` alone would also ask for the shapes of first values that nobody sees, and for some of them
    torch imports its compiler: half of the seconds that a first prediction takes.
    """
    with torch.device("meta"), _WithoutValues():
        yield


@contextmanager
def computed_only() -> Iterator[None]:
    """Build the modules inside a ``with`` block with the tables they compute, and no first values of what they learn.

    The memory of parameters is not written to, so that none is taken: they hold anything.
    """
    with _WithoutFirstValues():
        yield


class _WithoutFirstValues(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        tensor = args[0] if args else named.get("tensor")
        if isinstance(tensor, nn.Parameter) and getattr(func, "__name__", "") in _CHANGED and tensor.requires_grad:
            return tensor
        return func(*args, **named)


class _WithoutValues(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        tensor, *others = args or (named.get("tensor"),)  # functions of torch.nn.init name theirs
        if _is_shape(tensor) and getattr(func, "__name__", "") in _CHANGED and not any(map(_is_shape, others)):
            return tensor
        return _DRAWN.get(func, func)(*args, **named)


def _is_shape(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_meta


__all__ = ["computed_only", "shapes_only"]
