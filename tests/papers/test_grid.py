import json
from pathlib import Path

import pytest

from tests.commands.conftest import QUICK
from vitrail.config import from_json
from vitrail.errors import TrainingError
from vitrail.papers.cells import pretrained, trained
from vitrail.papers.grid import Column, Filled, Row, Table, run_table
from vitrail.tasks.classification.settings import ClassifySettings
from vitrail.tasks.mae.settings import MAESettings


def counting(calls: list[tuple[str, int]], name: str, share: float) -> Row:
    def work(seed: int, folder: Path) -> dict[str, float]:
        calls.append((name, seed))
        return {"top1": share + seed / 100}

    return Row(name, work, {"top1": 0.5})


def small_table(calls: list[tuple[str, int]]) -> Table:
    return Table(
        title="Two rows",
        rows=(counting(calls, "a b", 0.1), counting(calls, "c", 0.2)),
        columns=(Column("top1", "top-1, %"),),
        paper_columns=(Column("top1", "theirs, %"),),
        source="a paper, table 1",
        conclude=lambda filled: f"c is {100 * (filled.mean('c', 'top1') - filled.mean('a b', 'top1')):.0f} better",
    )


def test_every_row_is_run_for_every_seed_and_rows_come_before_seeds(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    filled = run_table(small_table(calls), 2, tmp_path, "vitrail paper x")
    assert calls == [("a b", 0), ("c", 0), ("a b", 1), ("c", 1)]
    assert filled.values("c", "top1") == pytest.approx([0.2, 0.21])
    assert filled.seeds == [0, 1]


def test_an_interrupted_table_runs_only_what_is_missing(tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    table = small_table(calls)

    def broken(seed: int, folder: Path) -> dict[str, float]:
        raise TrainingError("the disk is full")

    with pytest.raises(TrainingError):
        run_table(Table("t", (table.rows[0], Row("c", broken)), table.columns), 1, tmp_path, "")
    assert calls == [("a b", 0)]
    run_table(table, 2, tmp_path, "")
    assert calls == [("a b", 0), ("c", 0), ("a b", 1), ("c", 1)]


def test_the_written_table_has_mean_deviation_paper_command_and_conclusion(tmp_path: Path) -> None:
    run_table(small_table([]), 3, tmp_path, "vitrail paper x --seeds 3")
    written = (tmp_path / "table.md").read_text()
    assert "| a b | 11.0 ± 1.0 | 50.0 |" in written
    assert "`vitrail paper x --seeds 3`" in written
    assert "a paper, table 1" in written
    assert "c is 10 better" in written
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert rows[0]["seeds"]["2"]["top1"] == pytest.approx(0.12)
    assert rows[0]["paper"] == {"top1": 0.5}


def test_a_single_seed_is_no_verdict(tmp_path: Path) -> None:
    run_table(small_table([]), 1, tmp_path, "vitrail paper x")
    assert "says nothing about the noise" in (tmp_path / "table.md").read_text()
    run_table(small_table([]), 2, tmp_path, "vitrail paper x")
    assert "says nothing about the noise" not in (tmp_path / "table.md").read_text()


def test_an_unfinished_table_has_empty_places_and_concludes_nothing() -> None:
    table = small_table([])
    filled = Filled(table, {"a b": {0: {"top1": 0.1}}, "c": {}}, "")
    assert "| c |  | 50.0 |" in filled.markdown()
    assert "better" not in filled.markdown()


def test_a_cell_pretrains_then_trains_from_that_with_its_own_seed(tmp_path: Path) -> None:
    from vitrail.weights.description import describe

    first = from_json(MAESettings, {"data": "digits", **QUICK, "decoder_width": 32, "decoder_depth": 1})
    then = from_json(ClassifySettings, {"data": "digits", **QUICK})
    figures = pretrained(first, then)(3, tmp_path)
    assert {"pretrain_loss", "top1", "mean_class"} <= figures.keys()
    settings = describe(tmp_path / "train").settings
    assert settings["weights"] == str(tmp_path / "pretrain")
    assert settings["run"]["seed"] == describe(tmp_path / "pretrain").settings["run"]["seed"] == 3


def test_a_cell_measures_what_the_run_never_saw(tmp_path: Path) -> None:
    import vitrail

    figures = trained(from_json(ClassifySettings, {"data": "digits", **QUICK}))(0, tmp_path)
    assert figures["top1"] == pytest.approx(vitrail.evaluate(str(tmp_path / "train"), "digits", split="test").top1)
