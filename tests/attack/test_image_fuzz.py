"""Mutated images of every format: an image or an `ImageError`, below half a gigabyte and two seconds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .measured import MOST_MEGABYTES, MOST_SECONDS

ROOT = Path(__file__).parents[2]


def fuzzed(first: int, count: int) -> dict:
    program = [sys.executable, "-m", "tests.attack.fuzzed_images", str(first), str(count)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("first", "count"),
    [(1_000_000, 600), *(pytest.param(n * 2000, 2000, marks=pytest.mark.slow) for n in range(10))],
)
def test_mutated_images_are_images_or_image_errors_within_the_budget(first: int, count: int) -> None:
    result = fuzzed(first, count)
    assert not result["untyped"]
    assert result["seconds"] < MOST_SECONDS, result["slowest"]
    assert result["megabytes"] < MOST_MEGABYTES
    assert count // 50 < result["good"] < count
