"""What is printed cannot act on a terminal, figures have one format, and printed commands can be pasted."""

import io
import math
import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.console import command, figure, is_share, never_fail, percent, points, printable, quoted, shortened

HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "cat\u202egpj.exe",
    "two\nlines",
    "back\rover",
    "bell\a",
    "c1\x9b31m",
    "\u2066isolate",
    "\u2028line",
    "\ufefftag",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_acts_on_a_terminal_is_left_in_a_text(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in shown)
    assert "\\" in shown


@given(st.text())
def test_any_text_becomes_printable_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode()
    assert "\n" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", ["Käfer", "猫", "क्षत्रिय", "क\u200cष", "cat (1), 50 %", "[red]"])
def test_ordinary_names_are_shown_as_they_are(text: str) -> None:
    assert printable(text) == text


def test_bytes_that_are_no_text_are_shown_as_bytes() -> None:
    assert printable(b"caf\xe9.png".decode("utf-8", "surrogateescape")) == "caf\\xe9.png"


@pytest.mark.parametrize(
    "name",
    ["plain.png", "two words", "it's", "$(touch x)", "a;b", "tab\there", "line\nbreak", "back\\slash'\x1b[0m", "-x"],
)
def test_a_printed_command_names_the_very_file(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("this one")
    line = command("cat", tmp_path / name)
    assert subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout == "this one"
    assert printable(line) == line


def test_a_home_folder_is_left_to_the_shell() -> None:
    assert quoted("~/my runs/a") == "~/'my runs/a'"


def test_every_figure_has_one_format() -> None:
    assert percent(0.9367) == "93.7 %"
    assert points(0.37) == "37.0 points"
    assert figure("top1", 1.0) == "100.0 %"
    assert figure("loss", 2.302585) == "2.303"
    assert percent(math.nan) == figure("loss", math.nan) == figure("box_ap", None) == "-"


@pytest.mark.parametrize(
    "name",
    [
        "top1",
        "top5",
        "mean_class",
        "mean_iou",
        "pixel_accuracy",
        "accuracy",
        "majority_accuracy",
        "box_ap",
        "mask_ap50",
    ],
)
def test_shares_are_known_by_their_names(name: str) -> None:
    assert is_share(name)


@pytest.mark.parametrize("name", ["loss", "neighbour_loss", "lr", "grad_norm", "seconds", "map_size", "class_loss"])
def test_what_is_no_share_is_not_written_in_per_cent(name: str) -> None:
    assert not is_share(name)


def test_many_long_names_are_shortened() -> None:
    shown = shortened(["x" * 100, "\x1b[0m", *map(str, range(20))], most=3)
    assert shown == f"{'x' * 21}..., \\x1b[0m, 0, ... (22)"


def test_a_terminal_without_unicode_gets_escapes_and_no_error() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    never_fail(stream)
    print("Käfer ✓", file=stream)
    stream.flush()
    assert stream.buffer.getvalue() == b"K\\xe4fer \\u2713\n"
