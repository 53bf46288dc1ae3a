"""Images that could not be read: every command counts them, and names them in one order."""

from pathlib import Path

import pytest

from tests.commands.data_sets import WRITERS, records
from tests.commands.untrained import NAMES, untrained
from vitrail.cli import main
from vitrail.tasks.left_out import NAMED

TASKS = {"classify": "class folders", "detect": "COCO", "segment": "images with masks"}


@pytest.mark.parametrize("task", TASKS)
def test_an_evaluation_counts_all_images_that_it_left_out(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = records(NAMED, NAMES, split="test")
    root = WRITERS[TASKS[task]][1](tmp_path / "data", data)
    files = sorted(root.rglob("*.bmp"), reverse=True)
    for file in files[: NAMED + 3]:
        file.write_bytes(b"BM damaged")
    assert main(["evaluate", str(untrained(tmp_path / "model", task)), str(root), "--workers", "0"]) == 0
    said = capsys.readouterr().out
    assert f"left out: {NAMED + 3} of {len(data)} images" in said
    assert "  and 3 more" in said
    named = [line.split(":")[0] for line in said.splitlines() if line.startswith("  ") and ".bmp:" in line]
    assert len(named) == NAMED
    assert named == sorted(named)
