"""How verbs talk: plain sentences, tables, and nothing from any process but the first."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vitrail.console import printable, printable_lines

FIGURE = re.compile(r"-|[-+]?[\d,.]+(e[-+]\d+)?( %| points)?")

WIDEST = 100_000
"""Letters in a line of a table that no terminal shows; a table takes no more of them than it needs."""


def say(message: str = "") -> None:
    """Print a line; under torchrun only the first process does.

    Names in it cannot act on the terminal. Line breaks at its beginning are kept, others are escaped: a name may hold
    one. `say_lines` is for texts of several lines.
    """
    blank = len(message) - len(message.lstrip("\n"))
    if os.environ.get("RANK", "0") == "0":
        print("\n" * blank + printable(message[blank:]), flush=True)


def say_lines(text: object) -> None:
    """Print a text of several lines whose line breaks are meant."""
    for line in printable_lines(text):
        say(line)


def warn(message: str) -> None:
    """Print a line to the error stream; under torchrun only the first process does."""
    if os.environ.get("RANK", "0") == "0":
        print(printable(message), file=sys.stderr, flush=True)


class Progress:
    """How far something long has come: a line on the error stream now and then, so that what is printed stays a table.

    Args:
        what: what is counted, as in "40 of 1,000 images".
        at_once: count from nothing; else from what is there at the first report, as before it a model was opened, say.
    """

    FIRST_AFTER, THEN_EVERY = 5.0, 15.0
    """Seconds: what is done sooner needs no progress."""

    def __init__(self, what: str, *, at_once: bool = False) -> None:
        self.what = what
        self._began = (time.monotonic(), 0.0) if at_once else None
        self._due = time.monotonic() + self.FIRST_AFTER

    def reached(self, done: float, total: float) -> None:
        """Note how much is done, and say it and how long the rest may take, if it is time to."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._due = (now, done), now + self.FIRST_AFTER
        elif now >= self._due and self._began[1] < done < total:
            began, first = self._began
            left = (now - began) / (done - first) * (total - done)
            warn(f"{done:,.0f} of {total:,.0f} {self.what}, about {duration(left)} left")
            self._due = now + self.THEN_EVERY


def duration(seconds: float) -> str:
    """Write how long something may take: seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def say_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; columns of numbers are set to the right."""
    if os.environ.get("RANK", "0") != "0":
        return
    # All of it as text: brackets in names are no markup.
    table = Table(title=_text(title) if title else None, title_justify="left", header_style="bold", title_style="bold")
    for number, column in enumerate(columns):
        numeric = all(_is_figure(row[number]) for row in rows) and bool(rows)
        table.add_column(_text(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    console = Console()
    # Into a file or a pipe, no name is broken into pieces.
    console.width = console.width if console.is_terminal else WIDEST
    console.print(table)


def _text(value: Any) -> Text:
    return Text(printable(shown(value)))


def _is_figure(value: Any) -> bool:
    """Whether a cell holds a number, or one written with its unit (``93.7 %``), or stands for none."""
    return isinstance(value, (int, float)) or (isinstance(value, str) and FIGURE.fullmatch(value) is not None)


def shown(value: Any) -> str:
    """Write a value for people: thousands set apart, four figures of a fraction."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
