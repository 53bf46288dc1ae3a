"""What a trust card holds: sections, each measured or saying how to measure it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vitrail.config import to_json
from vitrail.console import quoted
from vitrail.trust.intervals import Estimate

FORMAT = 1
"""Of ``trust.json``."""

MODEL, DATA = "{model}", "{data}"
"""Stand for the model and the data in the commands of a section."""


@dataclass(frozen=True)
class CardTable:
    """A table of a section; it stays on the page, and is not passed on with a model, as it may name files."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Section:
    """One thing that is known of a model, or how to find it out.

    Attributes:
        name: its key in ``trust.json`` and its anchor on the page.
        title: its heading.
        facts: figures in words, as (name, value); they hold no file names, as they are passed on with the model.
        sentences: what must be known of them.
        tables: more of them.
        values: the figures as numbers.
        command: what repeats or measures it, with `MODEL` and `DATA` in the place of theirs.
        is_measured: whether it was measured.
    """

    name: str
    title: str
    facts: tuple[tuple[str, str], ...] = ()
    sentences: tuple[str, ...] = ()
    tables: tuple[CardTable, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    is_measured: bool = True


@dataclass(frozen=True)
class TrustCard:
    """Everything a person who signs for a model should know.

    Attributes:
        model: what the user called it.
        architecture: its backbone's name.
        data: what the user called the images.
        split: which of them were measured.
        headlines: the figures that a reader takes away, as (name, value).
        sections: in the order of the page.
        format: of ``trust.json``.
    """

    model: str
    architecture: str
    data: str
    split: str
    headlines: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    format: int = FORMAT

    def section(self, name: str) -> Section:
        """Return a section by its name.

        Raises:
            KeyError: there is none of this name.
        """
        return {one.name: one for one in self.sections}[name]

    def command_of(self, section: Section) -> str:
        """Return the command of a section as it can be pasted."""
        return filled(section.command, self.model, self.data)


def filled(command: str, model: str, data: str) -> str:
    """Put the names of a model and of data into a section's command."""
    named = {MODEL: quoted(model), DATA: quoted(data)}
    return re.sub("{model}|{data}", lambda found: named[found[0]], command)


def not_measured(name: str, title: str, command: str, why: str = "") -> Section:
    """Return a section of what was not measured.

    Args:
        name, title: of the section.
        command: what measures it.
        why: why it was not, a sentence, where it was not left out on purpose.
    """
    return Section(name, title, (), tuple(filter(None, ("Not measured.", why))), command=command, is_measured=False)


def section_from_json(content: Mapping[str, Any]) -> Section:
    """Return a section as it was kept.

    Raises:
        KeyError, TypeError, ValueError: it is damaged.
    """
    tables = tuple(
        CardTable(one["title"], tuple(one["columns"]), tuple(tuple(row) for row in one["rows"]))
        for one in content["tables"]
    )
    facts = tuple((str(name), str(value)) for name, value in content["facts"])
    return Section(
        content["name"],
        content["title"],
        facts,
        tuple(content["sentences"]),
        tables,
        dict(content["values"]),
        content["command"],
        bool(content["is_measured"]),
    )


def card_json(card: TrustCard) -> dict[str, Any]:
    """Return what ``trust.json`` holds."""
    return to_json(card)


def share_with_interval(share: Estimate | Sequence[float]) -> str:
    """Write a share of a whole with its 95 % interval: ``89.8 % (86.3 to 92.5)``."""
    value, low, high = (share.value, share.low, share.high) if isinstance(share, Estimate) else share
    if value is None:
        return "-"
    ends = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * value:.1f} %{ends}"


__all__ = [
    "DATA",
    "MODEL",
    "CardTable",
    "Section",
    "TrustCard",
    "card_json",
    "filled",
    "not_measured",
    "section_from_json",
    "share_with_interval",
]
