"""No image takes more than half a gigabyte or two seconds: it is opened within them, or refused."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitrail.data.images import open_image
from vitrail.errors import ImageError

from .bombs import BOMBS
from .measured import MOST_MEGABYTES, MOST_SECONDS

ROOT = Path(__file__).parents[2]
QUICK = [
    *("webp of 4000", "webp of 10000", "moving webp of 5000", "png of 10000 with 8 bits of kind 6"),
    *("png of a million chunks", "png of a profile that unfolds", "jpeg of a million comments"),
    *("jpeg of 5000 scans", "full progressive jpeg of 10000", "cmyk jpeg of 10000", "gif of one long comment"),
    *("tiff of floats", "bmp of runs", "pgm of nothing", "pgm of a huge number"),
]


def measured(names: list[str], folder: Path) -> list[tuple[str, str, float, float]]:
    """Open bombs one after the other in a process of their own; its memory is the highest so far."""
    files = []
    for name in names:
        files.append(folder / name.replace(" ", "_"))
        files[-1].write_bytes(BOMBS[name]())
    program = [sys.executable, "-m", "tests.attack.measured", *map(str, files)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_held(results: list[tuple[str, str, float, float]]) -> None:
    for name, outcome, seconds, megabytes in results:
        assert not outcome.startswith("UNTYPED"), f"{name}: {outcome}"
        assert megabytes < MOST_MEGABYTES, f"{name} took {megabytes:.0f} MB ({outcome})"
        assert seconds < MOST_SECONDS, f"{name} took {seconds:.1f} s ({outcome})"


def test_a_sample_of_bombs_stays_below_half_a_gigabyte_and_two_seconds(tmp_path: Path) -> None:
    results = measured(QUICK, tmp_path)
    assert len(results) == len(QUICK)
    assert_held(results)


@pytest.mark.slow
def test_all_bombs_stay_below_half_a_gigabyte_and_two_seconds(tmp_path: Path) -> None:
    for name in BOMBS:  # Each in a process of its own, so that its memory is its own.
        assert_held(measured([name], tmp_path))
        (tmp_path / name.replace(" ", "_")).unlink()


@pytest.mark.parametrize("name", ["webp of 5000", "webp of 10000", "pgm of nothing", "jpeg of 10000", "gif of 10000"])
def test_a_file_that_unfolds_implausibly_far_is_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(BOMBS[name]())
    assert "\n" not in str(caught.value)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket.jpg"))
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "linked.png").symlink_to(tmp_path / "pipe.jpg")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    start = time.perf_counter()
    for file in tmp_path.iterdir():
        with pytest.raises(ImageError) as caught:
            open_image(file)
        assert str(caught.value).startswith(f"{file}: ")
    assert time.perf_counter() - start < 30
    listening.close()
