import pytest

from vitrail.cli import main
from vitrail.errors import ConfigError
from vitrail.papers.catalogue import TABLES, command, paper, table_of
from vitrail.papers.grid import Filled
from vitrail.settings import PaperSettings


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_made_and_written_before_and_after_it_is_run(name: str) -> None:
    table = table_of(PaperSettings(name=name))
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert table.source, "a table says where the paper's figures stand"
    columns = {column.figure for column in table.paper_columns}
    assert all(row.paper.keys() <= columns for row in table.rows)
    empty = Filled(table, {name: {} for name in names}, "")
    assert "| --- |" in empty.markdown()


@pytest.mark.parametrize("name", TABLES)
def test_every_table_concludes_something_from_any_figures(name: str) -> None:
    table = table_of(PaperSettings(name=name))
    figures = {c.figure for c in table.columns}
    for best in range(len(table.rows)):
        filled = Filled(
            table,
            {
                r.name: {s: dict.fromkeys(figures, 0.3 + (i == best) * 0.2 + s / 50) for s in (0, 1)}
                for i, r in enumerate(table.rows)
            },
            "",
        )
        assert table.conclude(filled).endswith(".")


def test_a_misspelt_table_gets_the_nearest_right_one() -> None:
    with pytest.raises(ConfigError, match="'vit-positions'"):
        paper("vit-position")
    with pytest.raises(ConfigError, match="seeds must be a number from 1"):
        paper("vit-positions", seeds=0)


def test_without_a_name_all_tables_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in TABLES)


def test_the_command_beside_a_table_names_what_was_asked_for() -> None:
    settings = PaperSettings(name="vit-positions", data="my photos", epochs=2.0, out="/tmp/x")
    assert command(settings) == "vitrail paper vit-positions --data 'my photos' --epochs 2"
