"""Sections of a card: kept, filled in, and never half."""

from pathlib import Path

from PIL import Image

from vitrail.card.kept import Part, kept_part
from vitrail.card.sections import CardTable, Section, filled, not_measured, section_from_json, share_with_interval
from vitrail.config import to_json
from vitrail.trust.intervals import Estimate


def test_names_of_model_and_data_are_put_in_once_and_quoted() -> None:
    assert filled("vitrail stress {model} {data}", "a {data} b", "it's") == """vitrail stress 'a {data} b' 'it'"'"'s'"""


def test_a_section_is_read_as_it_was_written() -> None:
    table = CardTable("t", ("a", "b"), (("x", 1), ("y", 2.5)))
    section = Section("n", "T", (("a", "1"),), ("s",), (table,), {"v": [1, {"w": None}]}, "c", False)
    assert section_from_json(to_json(section)) == section


def test_a_part_is_measured_once_and_again_where_it_is_about_something_else_or_its_figure_is_gone(
    tmp_path: Path,
) -> None:
    measured = []

    def measure() -> Part:
        measured.append(1)
        figures = [("A caption", Image.new("RGB", (4, 4), "red"))]
        return Part((not_measured("n", "T", "c"),), {"n": figures})

    folder = tmp_path / "parts"
    kept_part(folder, "one", {"a": 1}, measure)
    again = kept_part(folder, "one", {"a": 1}, measure)
    assert len(measured) == 1
    (caption, path), *_ = again.figures["n"]
    assert caption == "A caption"
    assert Image.open(path).getpixel((0, 0)) == (255, 0, 0)
    kept_part(folder, "one", {"a": 2}, measure)
    assert len(measured) == 2
    path.unlink()
    kept_part(folder, "one", {"a": 2}, measure)
    assert len(measured) == 3


def test_shares_are_written_with_their_interval_where_there_is_one() -> None:
    assert share_with_interval(Estimate(0.5, 0.25, 0.75)) == "50.0 % (25.0 to 75.0)"
    assert share_with_interval(Estimate(0.5)) == "50.0 %"
    assert share_with_interval(Estimate(None)) == "-"
    assert share_with_interval((0.1234, 0.0, 1.0)) == "12.3 % (0.0 to 100.0)"
