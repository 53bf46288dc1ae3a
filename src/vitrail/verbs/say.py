"""How verbs talk: plain sentences, tables, and nothing from any process but the first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def say(message: str = "") -> None:
    """Print a line; under torchrun only the first process does."""
    if os.environ.get("RANK", "0") == "0":
        print(message, flush=True)


def say_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table; columns of numbers are set to the right."""
    if os.environ.get("RANK", "0") != "0":
        return
    table = Table(title=title or None, title_justify="left", header_style="bold", title_style="bold")
    for number, column in enumerate(columns):
        numeric = all(isinstance(row[number], (int, float)) for row in rows) and bool(rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(value)) for value in row))  # as text: brackets are no markup
    Console().print(table)


def shown(value: Any) -> str:
    """Write a value for people: thousands set apart, four figures of a fraction."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)
