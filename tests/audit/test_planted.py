"""What an audit must find of faults planted among real photographs; minutes, with a real encoder."""

import os
from pathlib import Path

import pytest
from benchmarks.audit import ENCODER, Rows, measured

DATA = Path(os.environ.get("VITRAIL_DATA", "/nowhere"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / ENCODER).is_file(), reason="VITRAIL_DATA does not point at the shared data"),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_flipped_labels_copies_and_street_scenes_are_found_among_clothes(work: Path, seed: int) -> None:
    found = measured(DATA, work, seed, Rows(DATA, work))
    assert found.precision >= 0.6
    assert found.copies >= 48
    assert found.false <= 2, found.others
    assert found.auroc >= 0.98


def test_copies_are_found_by_pixels_alone_as_well(work: Path) -> None:
    found = measured(DATA, work, 4, Rows(DATA, work, encoder=False))
    assert found.copies >= 48
    assert found.false <= 2, found.others
