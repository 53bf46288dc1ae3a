"""Runs that began before settings belonged to their tasks go on: their config.json holds those of all tasks."""

import json
from pathlib import Path

import pytest

from vitrail.cli import parse
from vitrail.config import to_json
from vitrail.runs.run_folder import flat, is_same_run

OLD = json.loads(Path(__file__).with_name("settings_of_version_0_1.json").read_text())
"""Command lines, and what the version before wrote of each into ``config.json``."""


@pytest.mark.parametrize("words", OLD)
def test_a_run_of_the_version_before_goes_on(words: str) -> None:
    command, *rest = words.split()
    settings = parse(command, rest)
    assert is_same_run(OLD[words], settings)
    assert not is_same_run(OLD[words], parse(command, [*rest, "--lr", "0.123"]))


@pytest.mark.parametrize("words", OLD)
def test_the_version_before_can_read_what_is_written_now(words: str) -> None:
    command, *rest = words.split()
    now, before = flat(to_json(parse(command, rest))), flat(OLD[words])
    assert {name: value for name, value in now.items() if name in before and before[name] != value} == {}
    added = {
        "run.timeout",
        "run.draw_every",
        "accept_license",
        "normalization",
        "resize",
        "crop_fraction",
        "interpolation",
        "fit_head",
        "architecture.layer_scale",
        "architecture.registers",
        "architecture.mlp",
        "architecture.pretrained_windows",
    }
    assert set(now) - set(before) <= added, "only what it did not have yet, or under another name, is new"
