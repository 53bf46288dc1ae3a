"""A table of a paper: a grid of settings and seeds, run cell by cell, with the paper's own figures beside."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitrail.commands import pretrain, train
from vitrail.commands.evaluate import evaluate
from vitrail.config import replace
from vitrail.output import say
from vitrail.runs.split import run_split
from vitrail.serialize import write_json
from vitrail.settings import PretrainSettings, TrainSettings

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


def trained(settings: TrainSettings, split: str = "auto") -> Work:
    """Return a cell that trains a classifier and measures its best checkpoint.

    Its figures are those of `vitrail.evaluate` on ``split``: ``top1``, ``mean_class``, ``loss``.
    """
    return lambda seed, folder: _train(settings, seed, folder, split)


def pretrained(settings: PretrainSettings, then: TrainSettings, split: str = "auto") -> Work:
    """Return a cell that pretrains without labels and then trains a classifier from that.

    Its figures are those of `trained` and, with ``pretrain_`` before them, the best ones of the pretraining.
    """

    def work(seed: int, folder: Path) -> Figures:
        run = replace(settings.run, seed=seed)
        before = replace(settings, out=str(folder / "pretrain"), run=run)
        first = pretrain.learn(before, run_split(before, as_for=replace(then, run=replace(then.run, seed=seed))))
        started = replace(then, weights=str(first.folder))
        figures = {f"pretrain_{name}": value for name, value in first.metrics.items()}
        return figures | dict(_train(started, seed, folder, split))

    return work


def _train(settings: TrainSettings, seed: int, folder: Path, split: str) -> Figures:
    result = train.run(replace(settings, out=str(folder / "train"), run=replace(settings.run, seed=seed)))
    measured = evaluate(str(result.folder), settings.data, split=split)
    return {"top1": measured.top1, "mean_class": measured.mean_class, "loss": measured.loss}


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
