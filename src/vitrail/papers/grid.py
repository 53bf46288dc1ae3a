"""A table of a paper: a grid of settings and seeds, run cell by cell, with the paper's own figures beside.

`PaperTable` is a table as data, `Table` the same at the scale that was asked for, `Filled` what came out of its runs.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.config import replace
from vitrail.output import say
from vitrail.serialize import write_json
from vitrail.settings import PaperSettings

Figures = Mapping[str, float]
"""What was measured, by name; shares are in [0, 1]."""

Work = Callable[[int, Path], Figures]
"""One cell of a grid: takes a seed and a folder for its runs, and returns figures.

Called again with the same folder after an interruption, it goes on where it was.
"""

FIGURES = "figures.json"

ONE_SEED = "A single seed says nothing about the noise: with three a verdict can be believed."


@dataclass(frozen=True)
class Row:
    """One setting of a table.

    Attributes:
        name: what the paper calls it; the folder of its runs is named after it.
        work: what is run for each seed.
        paper: the paper's own figures by the names of the table's columns; empty where it has none.
    """

    name: str
    work: Work
    paper: Figures = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One measure of a table.

    Attributes:
        figure: its name in what a `Work` returns.
        heading: for people, with the unit.
        scale: what a figure is multiplied by before it is written; 100 makes per cent of a share.
        digits: how many stand after the point.
    """

    figure: str
    heading: str
    scale: float = 100.0
    digits: int = 1

    def written(self, values: Sequence[float]) -> str:
        """Write the mean over seeds and, of two or more, the standard deviation between them."""
        if not values:
            return ""
        scaled = [value * self.scale for value in values]
        mean = f"{statistics.mean(scaled):.{self.digits}f}"
        return f"{mean} ± {statistics.stdev(scaled):.{self.digits}f}" if len(scaled) > 1 else mean


@dataclass(frozen=True)
class Table:
    """A table of a paper and the runs it is made of.

    Attributes:
        title: one line.
        rows: its settings.
        columns: what is measured here.
        paper_columns: what the paper measured, which may be something else on other data.
        source: where the paper's figures stand; "" where it has none.
        conclude: says in a sentence or two, from the finished table, what agrees with the paper and what does not.
    """

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    paper_columns: tuple[Column, ...] = ()
    source: str = ""
    conclude: Callable[[Filled], str] = lambda filled: ""


@dataclass(frozen=True)
class Filled:
    """A table as far as it has been run.

    Attributes:
        table: what was to be run.
        figures: for each row's name, the figures of each seed that is done.
        command: what ran it.
    """

    table: Table
    figures: Mapping[str, Mapping[int, Figures]]
    command: str

    def values(self, row: str, figure: str) -> list[float]:
        """Return one figure of a row for all seeds that are done."""
        return [figures[figure] for figures in self.figures[row].values() if figure in figures]

    def mean(self, row: str, figure: str) -> float:
        """Return the mean of one figure over the seeds."""
        return statistics.mean(self.values(row, figure))

    def deviation(self, row: str, figure: str) -> float:
        """Return the standard deviation of one figure between the seeds; 0 with a single one."""
        values = self.values(row, figure)
        return statistics.stdev(values) if len(values) > 1 else 0.0

    @property
    def seeds(self) -> list[int]:
        """Return the seeds for which every row is done."""
        done = [set(figures) for figures in self.figures.values()]
        return sorted(set.intersection(*done)) if done else []

    def noise(self, figure: str, rows: Iterable[str] = ()) -> float:
        """Return the largest standard deviation of a figure between the seeds of a row, in points.

        Args:
            figure: a share.
            rows: the names of those that count; by default all.
        """
        return 100 * max(self.deviation(row, figure) for row in rows or self.figures)

    def markdown(self) -> str:
        """Write the table for people: a row for each setting, the paper's figures on the right."""
        table = self.table
        headings = [
            "",
            *(column.heading for column in table.columns),
            *(f"paper: {column.heading}" for column in table.paper_columns),
        ]
        lines = [_line(headings), _line(["---", *["---:"] * (len(headings) - 1)])]
        for row in table.rows:
            ours = [column.written(self.values(row.name, column.figure)) for column in table.columns]
            theirs = [
                column.written([row.paper[column.figure]] if column.figure in row.paper else [])
                for column in table.paper_columns
            ]
            lines.append(_line([row.name, *ours, *theirs]))
        below = [
            f"Mean ± standard deviation over the seeds {', '.join(map(str, self.seeds))}; run with `{self.command}`."
        ]
        below += [f"The paper's figures: {table.source}."] if table.source else []
        below += [table.conclude(self)] if self.seeds else []
        below += [ONE_SEED] if len(self.seeds) == 1 else []
        return "\n".join([f"### {table.title}", "", *lines, "", *filter(None, below)]) + "\n"

    def json(self) -> dict[str, Any]:
        """Return the table with every seed's figures, for machines."""
        return {
            "title": self.table.title,
            "command": self.command,
            "source": self.table.source,
            "rows": [
                {
                    "name": row.name,
                    "seeds": {str(seed): dict(figures) for seed, figures in self.figures[row.name].items()},
                    "paper": dict(row.paper),
                }
                for row in self.table.rows
            ],
        }


def order_agrees(filled: Filled, figure: str) -> float:
    """Return how well the rows' order is the paper's: Spearman's rank correlation, -1 to 1; 0 where all are equal."""
    rows = [row for row in filled.table.rows if figure in row.paper]
    ours, theirs = (
        _ranks(values)
        for values in ([filled.mean(row.name, figure) for row in rows], [row.paper[figure] for row in rows])
    )
    mean = (len(rows) - 1) / 2
    covariance = sum((a - mean) * (b - mean) for a, b in zip(ours, theirs, strict=True))
    size = (sum((a - mean) ** 2 for a in ours) * sum((b - mean) ** 2 for b in theirs)) ** 0.5
    return covariance / size if size else 0.0


def _ranks(values: list[float]) -> list[float]:
    """Return the rank of each value; equal ones share theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values
    ]


Conclude = Callable[[Filled], str]
"""Says in a sentence or two, from the finished table, what agrees with the paper and what does not."""

Changes = Mapping[str, Any]
"""Settings that differ, by name; a dict changes some fields of a nested one."""


@dataclass(frozen=True)
class Variant:
    """What one row of a table changes of the settings that all its rows share.

    Attributes:
        changes: the settings that differ, or a function that returns them for the shared ones, where they depend on
            the scale.
        paper: the paper's own figures for it, by the names of the table's columns.
    """

    changes: Changes | Callable[[Any], Changes] = field(default_factory=dict)
    paper: Figures = field(default_factory=dict)

    def of(self, shared: Any) -> Any:
        """Return the shared settings with the changes made."""
        return replace(shared, **(self.changes(shared) if callable(self.changes) else self.changes))


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper as data, for any scale.

    Attributes:
        help: what it shows, in the list of tables.
        title: one line; a function where the scale is part of it.
        rows: what is run for each row at the scale that is asked for.
        columns: what is measured here.
        paper_columns: what the paper measured, which may be something else on other data.
        source: where the paper's figures stand.
        conclude: what agrees with the paper and what does not.
    """

    help: str
    title: str | Callable[[PaperSettings], str]
    rows: Callable[[PaperSettings], Sequence[Row]]
    columns: tuple[Column, ...]
    source: str
    conclude: Conclude
    paper_columns: tuple[Column, ...] = ()

    def at(self, settings: PaperSettings) -> Table:
        """Return the table at the scale that is asked for, not yet run."""
        return Table(
            title=self.title if isinstance(self.title, str) else self.title(settings),
            rows=tuple(self.rows(settings)),
            columns=self.columns,
            paper_columns=self.paper_columns,
            source=self.source,
            conclude=self.conclude,
        )


def run_table(table: Table, seeds: int, out: Path, command: str) -> Filled:
    """Run every cell that is not done yet, and write the table anew after each.

    Seeds come one after the other, so that an interrupted table has all rows early on.

    Args:
        table: what to run.
        seeds: how many, from 0.
        out: the folder of the table; each cell has one below it.
        command: what the user typed, to be written beside the table.

    Returns:
        The table with all figures; ``out`` holds them as ``table.json`` and ``table.md``.

    Raises:
        VitrailError: a run failed; what was done before is kept.
        Interrupted: asked to stop; the same command goes on.
    """
    done: dict[str, dict[int, Figures]] = {row.name: {} for row in table.rows}
    filled = Filled(table, done, command)
    for seed in range(seeds):
        for row in table.rows:
            folder = out / _folder_name(row.name) / f"seed_{seed}"
            if not (folder / FIGURES).is_file():
                say(f"\n{row.name}, seed {seed}")
                figures = row.work(seed, folder)
                folder.mkdir(parents=True, exist_ok=True)
                write_json(folder / FIGURES, dict(figures))
            done[row.name][seed] = _read(folder / FIGURES)
            _write(filled, out)
    return filled


def _read(file: Path) -> dict[str, float]:
    """Read a cell's figures; JSON has null for those that are no numbers."""
    return {name: math.nan if value is None else value for name, value in json.loads(file.read_text()).items()}


def _write(filled: Filled, out: Path) -> None:
    write_json(out / "table.json", filled.json())
    (out / "table.md").write_text(filled.markdown())


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _folder_name(row: str) -> str:
    kept = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in row.lower())
    return "_".join(filter(None, kept.split("_")))
