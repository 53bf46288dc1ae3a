"""The card as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vitrail.card.sections import Section, TrustCard
from vitrail.visualize.chapters import Chapter, write_chapters
from vitrail.visualize.report import Figure, Table


def write_card(path: Path, card: TrustCard, figures: Mapping[str, Sequence[Figure]]) -> Path:
    """Write ``trust.html`` and return its path.

    Args:
        path: the file.
        card: the card.
        figures: of each section, by its name, images with captions.
    """
    title = f"Trust card: {Path(card.model).name or card.model}"
    subtitle = f"{card.architecture} on {card.data} ({card.split}): what was measured, and what was not."
    chapters = [_chapter(card, section, figures.get(section.name, ())) for section in card.sections]
    return write_chapters(path, title, subtitle, card.headlines, chapters)


def _chapter(card: TrustCard, section: Section, figures: Sequence[Figure]) -> Chapter:
    tables = [Table(one.title, one.columns, one.rows) for one in section.tables]
    return Chapter(
        section.name,
        section.title,
        section.facts,
        section.sentences,
        figures,
        tables,
        card.command_of(section),
        section.is_measured,
    )


__all__ = ["write_card"]
