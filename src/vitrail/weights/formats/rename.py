"""Rename tables: one list of rows per foreign layout, read in both directions.

A name in a row may hold numbers, ``{}`` (counted from 0), ``{+1}`` (from 1) or ``{+1:02}`` (from 1, two digits),
and end in ``*``, which stands for the rest. Both names of a row hold the same ones in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from vitrail.errors import WeightsError
from vitrail.weights.reader import State

NUMBERS = re.compile(r"\d+")
FIELD = re.compile(r"(\{\+1:02\}|\{\+1\}|\{\}|\*)")


@dataclass(frozen=True)
class TensorTransform:
    """How a tensor's axes are turned between a foreign layout and the plain one.

    Attributes:
        to_plain: foreign tensor to plain tensor.
        from_plain: plain tensor and number of heads to foreign tensor; the inverse of `to_plain`.
    """

    to_plain: Callable[[Tensor], Tensor]
    from_plain: Callable[[Tensor, int], Tensor]


IDENTITY = TensorTransform(lambda tensor: tensor, lambda tensor, heads: tensor)


@dataclass(frozen=True)
class Row:
    """A foreign name, the plain name, and what becomes of the axes.

    Where several foreign names have one plain name, the first row is the one that is written.
    """

    foreign: str
    plain: str
    turn: TensorTransform = IDENTITY


Table = Sequence[Row]


def to_plain_names(state: State, table: Table) -> State:
    """Rename a foreign state; names that no row knows are kept as they are."""
    renamed: State = {}
    for name, tensor in state.items():
        for row in table:
            found = _match(row.foreign, name)
            if found is not None:
                renamed[_fill(row.plain, found)] = row.turn.to_plain(tensor)
                break
        else:
            renamed[name] = tensor
    return renamed


def from_plain_names(state: State, table: Table, layout: str, num_heads: int = 1) -> State:
    """Rename a plain state; the inverse of `to_plain_names`.

    Raises:
        WeightsError: the layout has no name for a tensor.
    """
    renamed: State = {}
    unknown: list[str] = []
    for name, tensor in state.items():
        for row in table:
            found = _match(row.plain, name)
            if found is not None:
                renamed[_fill(row.foreign, found)] = row.turn.from_plain(tensor, num_heads).contiguous()
                break
        else:
            unknown.append(name)
    if unknown:
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        raise WeightsError(f"the layout {layout} has no place for {len(unknown)} tensors of this model ({shown})")
    return renamed


def fuse(state: State, parts: str, whole: str) -> State:
    """Put separate projections together, as in ``fuse(state, "qkv", "qkv")``.

    ``blocks.0.attn.q.weight``, ``.k.weight`` and ``.v.weight``, each ``(D, D)``, become
    ``blocks.0.attn.qkv.weight`` ``(3 D, D)``; where a part is missing nothing is done. A bias that is missing in
    every block, as BEiT's of the keys, is one of zeros.
    """
    state = _with_zero_biases(state, parts)
    fused = dict(state)
    for name in state:
        front, separator, kind = name.rpartition(f".{parts[0]}.")
        names = [f"{front}.{part}.{kind}" for part in parts]
        if separator and all(part in state for part in names):
            fused[f"{front}.{whole}.{kind}"] = torch.cat([fused.pop(part) for part in names])
    return fused


def _with_zero_biases(state: State, parts: str) -> State:
    """Add zeros for those of a layer's biases that no layer has, where it has others."""
    kinds = kinds_of(state)
    zeros: State = {}
    for name in state:
        front, _, part = name.removesuffix(".bias").rpartition(".")
        if name.endswith(".bias") and part in parts and part:
            others = [f"{front}.{other}.bias" for other in parts]
            zeros |= {o: torch.zeros_like(state[name]) for o in others if kind_of(o) not in kinds}
    return state | zeros


def kind_of(name: str) -> str:
    """Return a name without its numbers: the same for a tensor of every block."""
    return NUMBERS.sub("#", name)


def kinds_of(state: State) -> set[str]:
    """Return the kinds of tensors that a state has in at least one block."""
    return {kind_of(name) for name in state}


def split(state: State, whole: str, parts: str) -> State:
    """Take fused projections apart; the inverse of `fuse`."""
    separate: State = {}
    for name, tensor in state.items():
        front, separator, kind = name.rpartition(f".{whole}.")
        if separator:
            chunks = tensor.chunk(len(parts))
            separate.update({f"{front}.{part}.{kind}": c for part, c in zip(parts, chunks, strict=True)})
        else:
            separate[name] = tensor
    return separate


@cache
def _pattern(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    pieces = FIELD.split(template)
    fields = tuple(pieces[1::2])
    expressions = [
        (r"(.+)" if piece == "*" else r"(\d+)") if i % 2 else re.escape(piece) for i, piece in enumerate(pieces)
    ]
    return re.compile("".join(expressions)), fields


def _match(template: str, name: str) -> tuple[int | str, ...] | None:
    """Return what stands at the fields of a template, numbers counted from 0; None when the name is another."""
    pattern, fields = _pattern(template)
    found = pattern.fullmatch(name)
    if found is None:
        return None
    values = zip(fields, found.groups(), strict=True)
    return tuple(text if field == "*" else int(text) - field.startswith("{+1") for field, text in values)


def _fill(template: str, values: tuple[int | str, ...]) -> str:
    """Write values into the fields of a template; the inverse of `_match`."""
    pieces = FIELD.split(template)
    for i, value in enumerate(values):
        field = pieces[2 * i + 1]
        number = value if field in ("*", "{}") else int(value) + 1
        pieces[2 * i + 1] = f"{number:02}" if field.endswith(":02}") else str(number)
    return "".join(pieces)
