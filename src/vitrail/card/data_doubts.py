"""Whether the figures may be too good, and labels wrong: leaks between splits and suspected label errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitrail.card.sections import CardTable, Section

NAME, TITLE = "audit", "Leaks between splits, and suspected label errors"

SHOWN = 10
"""Findings of a kind that the page lists."""
ACROSS, LABEL = "near duplicate in two splits", "label"
"""What the audit calls them (`vitrail.audit.advice`)."""


def audit_section(found: Mapping[str, Any], encoder: str, command: str, where: str) -> Section:
    """Return the section of what an audit of the data found.

    Args:
        found: as `vitrail.audit.study.Audit.summary` returns it.
        encoder: whose vectors the audit looked with, a sentence.
        command: what repeats it.
        where: the page with the images, as the user can open it.
    """
    counts, images = found["counts"], found["images"]
    judged = found["cross_validated_accuracy"] is not None
    facts = [
        ("images that are copies of one in another split", f"{found['leaks']:,} of {images:,}"),
        ("suspected label errors", f"{counts.get(LABEL, 0):,} of {images:,}" if judged else "could not be looked for"),
        *([("damaged images", f"{len(found['damaged']):,}")] if found["damaged"] else []),
        *((f"other: {name}", f"{count:,}") for name, count in counts.items() if name not in (ACROSS, LABEL, "damaged")),
    ]
    tables = [table for kind in (ACROSS, LABEL) if (table := _table(found, kind))]
    sentences = (
        "A copy of a training image in the test set makes figures too good. Suspicions are for people to judge: all of "
        f"them, with the images, are on {where}.",
        encoder,
        *found["sentences"],
    )
    values = {"images": images, "leaks": found["leaks"], "counts": counts}
    return Section(NAME, TITLE, tuple(facts), sentences, tuple(tables), values, command)


def audit_headline(section: Section) -> tuple[tuple[str, str], ...]:
    """Return what the top of the card says of it."""
    return tuple((name, value.partition(" of ")[0]) for name, value in section.facts[:2])


def _table(found: Mapping[str, Any], kind: str) -> CardTable | None:
    chosen = [one for one in found["suggestions"] if one["what"] == kind]
    if not chosen:
        return None
    rows = tuple((one["file"], one["split"], one["label"], one["other"]) for one in chosen[:SHOWN])
    title = "Copies across splits" if kind == ACROSS else "Suspected label errors, the likeliest first"
    more = f" ({len(rows)} of {len(chosen):,})" if len(chosen) > len(rows) else ""
    return CardTable(
        f"{title}{more}", ("image", "split", "class", "copy of" if kind == ACROSS else "told instead"), rows
    )


__all__ = ["audit_headline", "audit_section"]
