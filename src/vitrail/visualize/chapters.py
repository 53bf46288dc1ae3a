"""A page in chapters: under each heading what is known, in figures, words, images and tables, and how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.visualize.report import Figure, Table, embedded, shortened, write_page


@dataclass(frozen=True)
class Chapter:
    """A part of a page.

    Attributes:
        name: its anchor in the page.
        title: its heading.
        facts: figures as (name, value), both in words.
        paragraphs: what must be known of them.
        figures: images, each with its caption.
        tables: below the images.
        command: how to repeat what was measured, or to measure it.
        is_there: whether it was measured; what was not stands out.
    """

    name: str
    title: str
    facts: Sequence[tuple[str, str]] = ()
    paragraphs: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    command: str = ""
    is_there: bool = True


def write_chapters(
    path: Path, title: str, subtitle: str, facts: Sequence[tuple[str, str]], chapters: Sequence[Chapter]
) -> Path:
    """Write a page of chapters as one HTML file and return its path.

    Args:
        path: the file; folders on the way to it are made.
        title, subtitle: what the page is about.
        facts: the headline figures as (name, value).
        chapters: in their order.
    """
    drawn = [{**vars(one), "figures": [embedded(*figure) for figure in one.figures]} for one in chapters]
    content: dict[str, Any] = {"title": shortened(title), "subtitle": subtitle, "facts": facts, "chapters": drawn}
    return write_page(path, content)


__all__ = ["Chapter", "write_chapters"]
