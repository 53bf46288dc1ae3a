"""What evaluate says of detectors and segmenters: the page, and what damaged images have no part in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import vitrail
from tests.commands.data_sets import WRITERS, records
from tests.commands.untrained import NAMES, untrained
from vitrail.cli import main
from vitrail.config import to_json
from vitrail.serialize import dumps

LAYOUTS = {"detect": "COCO", "segment": "images with masks"}
FIGURES = {
    "detect": {"precision_recall", "classes", "worst_images"},
    "segment": {"confusion", "precision_recall", "classes", "worst_images"},
}


def data_of(task: str, folder: Path, per_class: int = 4) -> Path:
    return WRITERS[LAYOUTS[task]][1](folder, records(per_class, NAMES, split="test", first=70))


@pytest.mark.parametrize("task", LAYOUTS)
def test_the_page_has_its_figures_and_the_json_what_python_returns(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data, out = untrained(tmp_path / "model", task), data_of(task, tmp_path / "data"), tmp_path / "out"
    words = ["evaluate", str(model), str(data), "--workers", "0", "--device", "cpu", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((out / "evaluate.json").read_text()) == printed
    assert {path.stem for path in out.glob("*.png")} == FIGURES[task]
    assert (out / "evaluate.html").is_file()
    again = vitrail.evaluate(model, data, workers=0, device="cpu")
    assert json.loads(dumps(to_json(again))) == printed
    assert {"results", "truth"}.isdisjoint(printed)
    assert len(printed["per_class"]) == len(NAMES)
    assert main(words) == 0
    assert str(out / "evaluate.html") in capsys.readouterr().out


@pytest.mark.parametrize("task", LAYOUTS)
def test_an_image_that_cannot_be_read_has_no_part_in_any_figure(task: str, tmp_path: Path) -> None:
    """A detector does not miss the objects of an image that nobody looked at."""
    model = untrained(tmp_path / "model", task)
    data = data_of(task, tmp_path / "damaged")
    images = sorted(path for path in data.rglob("*.bmp") if "mask" not in str(path))
    images[5].write_bytes(b"BM damaged")
    found = vitrail.evaluate(model, data, workers=0, device="cpu")
    assert found.images == len(images) - 1
    assert len(found.damaged) == 1
    whole = vitrail.evaluate(model, data_of(task, tmp_path / "whole"), workers=0, device="cpu")
    if task == "detect":
        objects = [one for one in whole.truth["annotations"] if one["image_id"] != _number(whole.truth, images[5])]
        assert found.objects == len(objects)
        assert found.objects < whole.objects
        assert all(one.file != images[5].name for one in found.worst_images)
    else:
        assert sum(map(sum, found.table)) < sum(map(sum, whole.table))


def _number(truth: dict, file: Path) -> int:
    return next(one["id"] for one in truth["images"] if Path(one["file_name"]).name == file.name)


@pytest.mark.parametrize("task", LAYOUTS)
def test_one_image_gives_a_page_without_an_interval(task: str, tmp_path: Path) -> None:
    model = untrained(tmp_path / "model", task)
    data = data_of(task, tmp_path / "data", 1)
    for path in sorted(path for path in data.rglob("*.bmp") if "mask" not in str(path))[1:]:
        path.write_bytes(b"BM damaged")
    found = vitrail.evaluate(model, data, workers=0, device="cpu", out=str(tmp_path / "out"))
    assert found.images == 1
    assert {one.low for one in found.estimates.values()} == {None}
    assert "NaN" not in (tmp_path / "out" / "evaluate.json").read_text()
    assert (tmp_path / "out" / "evaluate.html").is_file()


def test_a_segmenters_figures_add_up_from_its_own_table(tmp_path: Path) -> None:
    model, data = untrained(tmp_path / "model", "segment"), data_of("segment", tmp_path / "data")
    found = vitrail.evaluate(model, data, workers=0, device="cpu")
    table = np.array(found.table)
    assert found.pixel_accuracy == pytest.approx(table.diagonal().sum() / table.sum())
    assert [one[1] for one in found.classes] == table.sum(axis=1).tolist()
    sizes = {name for name, share in found.found_by_size.items() if share is not None}
    assert sizes <= {"small", "medium", "large"}
    assert all(one.pixels == table[NAMES.index(one.label), NAMES.index(one.said)] for one in found.confusions)
