from __future__ import annotations

import io
import itertools
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from vitrail.errors import TrainingError
from vitrail.training import log as log_module
from vitrail.training.log import Bar, Clock, Lines, Log, Rows, duration


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time on the clock, for the test to move."""
    time = [0.0]
    monkeypatch.setattr(log_module.time, "monotonic", lambda: time[0])
    return time


def steps_of(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_rows_after_the_restored_step_are_cut(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3, 4):
        rows.append({"step": step})
    rows.cut(2)
    rows.append({"step": 3})
    assert steps_of(rows.path) == [1, 2, 3]


def test_a_row_torn_by_a_kill_is_cut(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "metrics.jsonl")
    rows.append({"step": 1})
    with rows.path.open("a") as file:
        file.write('{"step": 2, "lo')
    rows.cut(9)
    assert steps_of(rows.path) == [1]


def test_every_row_is_valid_json_even_without_a_finite_loss(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "metrics.jsonl")
    rows.append({"step": 1, "loss": math.nan, "grad_norm": math.inf, "lr": 0.5})
    assert rows.path.read_text() == '{"step": 1, "loss": null, "grad_norm": null, "lr": 0.5}\n'


def test_a_folder_that_cannot_be_written_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"metrics\.jsonl cannot be written"):
        Rows(tmp_path / "missing" / "metrics.jsonl").append({"step": 1})


def test_lines_come_soon_and_then_less_and_less_often(now: list[float]) -> None:
    console = Console(file=io.StringIO())
    lines, clock, printed = Lines(console), Clock(0, 100_000), []
    for second in range(4000):
        now[0] = float(second)
        before = console.file.tell()
        lines.show(clock, 0.0, lambda: 1.0)
        printed += [second] * (console.file.tell() > before)
    pauses = [b - a for a, b in itertools.pairwise(printed)]
    assert printed[:3] == [3, 13, 23]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60


def test_a_line_says_how_far_how_good_how_fast_and_how_long(now: list[float]) -> None:
    console = Console(file=io.StringIO(), width=40)
    clock = Clock(step=90, steps=200)
    for _ in range(10):
        clock.count(images=64, seconds=0.5)
    now[0] = 20.0
    Lines(console).show(clock, 1.25, lambda: 0.5)
    line = "epoch 1.25  step 100/200  loss 0.5000  128 images/s  3:20 left\n"
    assert console.file.getvalue() == line  # type: ignore[attr-defined]


def test_the_device_is_not_asked_for_the_loss_between_lines(now: list[float]) -> None:
    def never() -> float:
        raise AssertionError("nobody reads it")

    lines = Lines(Console(file=io.StringIO()))
    now[0] = 2.9
    lines.show(Clock(0, 10), 0.0, never)


def test_a_terminal_gets_a_bar_with_the_same_numbers(now: list[float]) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bar, clock = Bar(console, steps=200), Clock(0, 200)
    for _ in range(50):
        clock.count(images=64, seconds=0.5)
    now[0] = 30.0
    bar.show(clock, 1.25, lambda: 0.5)
    bar.say("something happened")
    bar.close()
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for part in ("epoch 1.25", "50/200", "loss 0.5000", "128 images/s", "1:30 left", "something happened"):
        assert part in shown


def test_only_the_main_process_writes_and_talks(tmp_path: Path) -> None:
    heard: list[object] = []
    console = Console(file=io.StringIO())
    with Log(tmp_path, 10, main=False, on_event=heard.append, console=console) as log:
        log.row("train", 1, 0.1, {"loss": 1.0})
        log.say("hello")
    assert not heard
    assert not list(tmp_path.iterdir())
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_listeners_get_every_row(tmp_path: Path) -> None:
    heard: list[object] = []
    with Log(tmp_path, 10, on_event=heard.append, console=Console(file=io.StringIO())) as log:
        log.row("train", 5, 0.5, {"loss": 1.0})
    assert heard == [{"kind": "train", "step": 5, "epoch": 0.5, "loss": 1.0}]


@pytest.mark.parametrize(
    ("seconds", "text"), [(7, "0:07"), (750, "12:30"), (11100, "3:05:00"), (math.nan, "?"), (59.6, "1:00")]
)
def test_durations_read_like_a_watch(seconds: float, text: str) -> None:
    assert duration(seconds) == text
