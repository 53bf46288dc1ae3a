"""What a model's own card takes over from its trust card: figures and commands, without where anything lies."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vitrail.errors import WeightsError
from vitrail.serialize import read_regular
from vitrail.weights.hashes import tensors_sha256

FILE = "trust.json"
FOLDER = "trust"
"""Where ``vitrail trust`` leaves the card of a run."""


ENCODERS = re.compile(r"(--(?:saliency-)?encoder) (?!{)(?:\$?'[^']*'|\S+)")
"""Options of a command that say where other weights lie."""


@dataclass(frozen=True)
class TrustPart:
    """A section of a trust card.

    Attributes:
        title: its heading.
        facts: figures in words, as (name, value); empty where nothing was measured.
        command: what repeats or measures it; the folder of the model is called FOLDER, the data by their last name.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    command: str


def find_trust_card(model: Path) -> Path | None:
    """Return the trust card of a run; None where it has none."""
    file = model / FOLDER / FILE
    return file if file.is_file() else None


def read_trust_card(file: Path, tensors: Mapping[str, Tensor]) -> tuple[TrustPart, ...]:
    """Read the sections of a trust card.

    Args:
        file: ``trust.json``.
        tensors: of the model that it has to be about.

    Raises:
        WeightsError: it is damaged, or about other weights.
    """
    try:
        card = json.loads(read_regular(file))
        sections = {one["name"]: one for one in card["sections"]}
        known = sections["weights"]["values"]["tensors"]
        parts = tuple(_part(one, str(card["data"])) for one in sections.values() if one["name"] != "repeat")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{file} is no trust card ({error}); make it again with vitrail trust") from None
    if known != tensors_sha256(tensors):
        raise WeightsError(
            f"{file} is about other weights than these, so it does not go with them; make it again with vitrail trust, "
            "or take it away"
        )
    return parts


def _part(section: dict[str, Any], data: str) -> TrustPart:
    facts = tuple((str(name), str(value)) for name, value in section["facts"])
    named = {"{model}": "FOLDER", "{data}": Path(data).name or "DATA"}
    command = ENCODERS.sub(r"\1 ENCODER", str(section["command"]))
    command = re.sub("{model}|{data}", lambda found: named[found[0]], command)
    return TrustPart(str(section["title"]), facts if section["is_measured"] else (), command)


__all__ = ["TrustPart", "find_trust_card", "read_trust_card"]
