"""The published encoders, as a table for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from vitrail.errors import ConfigError, nearest
from vitrail.output import say, say_table
from vitrail.serialize import dumps
from vitrail.weights.pretrained import Pretrained, pretrained

COLUMNS = ("name", "model", "parameters, M", "input", "trained on", "ImageNet-1k, %", "licence")
CONDITIONS = "*"


def list_pretrained(pattern: str, as_json: bool) -> None:
    """Print the published encoders whose names contain a pattern.

    Raises:
        ConfigError: there is none.
    """
    found = [one for one in pretrained().values() if pattern in one.name]
    if not found:
        raise ConfigError(f"no published encoder's name contains {pattern!r}{nearest(pattern, pretrained())}")
    if as_json:
        print(dumps([{**dataclasses.asdict(one), "repository": one.repository, "model": one.model} for one in found]))
        return
    say_table("published encoders, on the Hugging Face hub as timm/NAME", COLUMNS, [_row(one) for one in found])
    for line in _legend(found):
        say(line)


def _row(one: Pretrained) -> tuple[Any, ...]:
    accuracy = "" if one.accuracy is None else f"{one.accuracy:.1f} {one.measure}"
    licence = f"{one.licence}{CONDITIONS}" if one.must_accept else one.licence
    return one.name, one.model, f"{one.parameters / 1e6:,.1f}", one.image_size, one.trained_on, accuracy, licence


def _legend(found: Sequence[Pretrained]) -> list[str]:
    lines = [
        "top-1: of the model itself; linear: of a linear classifier on its features; zero-shot: by names of classes.",
        "where each line was confirmed: vitrail models --pretrained --json",
        f"next: vitrail weights inspect {found[0].name}",
    ]
    if any(one.must_accept for one in found):
        lines.insert(1, f"{CONDITIONS} has conditions; accept them once with --accept-license")
    if not all(one.model for one in found):
        lines.insert(1, "without a model: not opened by this version yet")
    return lines


__all__ = ["list_pretrained"]
