"""The doctor and training ask the same code: what training refuses is never fine, and findings have an exit code."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import vitrail
from tests.data.test_layouts import LAYOUTS, make
from vitrail import cli
from vitrail.data.sources import open_source
from vitrail.errors import DataError, VitrailError
from vitrail.tasks.registry import find_spec, find_task


def image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)


def pets(root: Path, count: int = 3) -> Path:
    for number in range(2 * count):
        image(root / ("cat", "dog")[number % 2] / f"{number}.png", number)
    return root


def test_a_good_set_is_fine_and_the_next_command_is_one_that_vitrail_takes(tmp_path: Path, capsys):
    root = pets(tmp_path / "my pets")
    assert cli.main(["doctor", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "nothing is wrong" in printed
    assert printed.strip().endswith(f"next: vitrail train '{root}'")


def test_an_imbalanced_set_gets_a_hint_that_the_command_line_takes(tmp_path: Path, capsys):
    pets(tmp_path)
    for number in range(12):
        image(tmp_path / "cat" / f"x{number}.png", 100 + number)
    assert cli.main(["doctor", str(tmp_path)]) == 0
    assert "--loader.balanced draws" in capsys.readouterr().out
    assert cli.parse("train", [str(tmp_path), "--loader.balanced"]).loader.balanced


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_what_is_wrong_gives_exit_code_1(tmp_path: Path, capsys, json_too: list[str]):
    (pets(tmp_path) / "cat" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert cli.main(["doctor", str(tmp_path), *json_too]) == 1
    printed = capsys.readouterr().out
    assert "bad.png" in printed
    assert "nothing is wrong" not in printed


def test_a_set_that_cannot_be_opened_gives_exit_code_2(tmp_path: Path, capsys):
    assert cli.main(["doctor", str(tmp_path)]) == 2
    assert cli.main(["doctor", str(tmp_path / "gone")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_one_image_in_two_classes_or_two_splits_is_found_and_copies_are_counted(tmp_path: Path):
    root = pets(tmp_path / "a")
    image(root / "dog" / "again.png", 0)
    assert "the same image in two classes" in vitrail.doctor(str(root))["data"]["mistakes"][0]
    pets(tmp_path / "b" / "train")
    image(tmp_path / "b" / "test" / "cat" / "again.png", 0)
    image(tmp_path / "b" / "train" / "cat" / "copy.png", 2)
    found = vitrail.doctor(str(tmp_path / "b"))["data"]
    assert found["duplicates"] == [("train: train/cat/0.png", "test: test/cat/again.png")]
    assert "1 images are copies of another one in their split and class." in found["notes"]


@pytest.mark.parametrize(("bits", "found"), [(10, True), (12, True), (14, True), (16, False), (8, False)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_few_bits_in_files_of_16_are_reported(tmp_path: Path, bits: int, found: bool, suffix: str):
    for number in range(4):
        values = np.random.default_rng(number).integers(0, 1 << bits, (16, 16)).astype(np.uint16)
        values[0, 0] = (1 << bits) - 1
        path = tmp_path / ("cat", "dog")[number % 2] / f"{number}{suffix}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(values).save(path)
    mistakes = vitrail.doctor(str(tmp_path))["data"]["mistakes"]
    assert any(f"{bits}-bit data" in mistake for mistake in mistakes) == found == bool(mistakes)


def test_a_class_of_files_that_are_not_read_is_a_mistake(tmp_path: Path, capsys):
    (pets(tmp_path) / "bird").mkdir()
    (tmp_path / "bird" / "1.svg").touch()
    assert cli.main(["doctor", str(tmp_path)]) == 1
    assert "'bird' is left out: its files are .svg (1)" in " ".join(capsys.readouterr().out.split())


def test_images_without_classes_are_for_pretraining_and_it_is_said(tmp_path: Path, capsys):
    for number in range(3):
        image(tmp_path / f"{number}.png", number)
    assert cli.main(["doctor", str(tmp_path)]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "vitrail train refuses it (vitrail pretrain takes its images)" in printed
    assert "nothing is wrong" not in printed


def test_a_table_that_training_refuses_is_not_fine(tmp_path: Path):
    pets(tmp_path)
    table = tmp_path / "list.csv"
    table.write_text("file,label\ncat/0.png,cat\ndog/1.png,dog\ncat/0.png,dog\n")
    with pytest.raises(DataError, match="two classes"):
        open_source(table)
    assert "has two classes" in vitrail.doctor(str(table))["data"]["mistakes"][0]
    table.write_text("file,label\ncat/0.png,cat\ndog/1.png,dog\ncat/0.png,cat\n")
    assert "1 rows repeat another one; each image is used once." in vitrail.doctor(str(table))["data"]["notes"]


READABLE = ("COCO", "masks", "masks in splits", "masks, img and label", "ADE20K")


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name not in READABLE])
def test_a_layout_that_no_task_reads_is_refused_by_the_doctor_as_by_training(tmp_path: Path, name: str):
    make(tmp_path, name)
    refusals = []
    for ask in (open_source, vitrail.doctor):
        with pytest.raises(VitrailError) as caught:
            ask(str(tmp_path))
        refusals.append(str(caught.value))
    assert refusals[0] == refusals[1]


WORDS = st.sampled_from(
    ["train", "test", "valid", "images", "masks", "labels", "annotations", "cat", "dog", ".x", "__MACOSX"]
)
FILES = st.sampled_from(["1.png", "2.png", "bad.png", "x.txt", "1_mask.png", "list.csv"])
PATHS = st.lists(st.tuples(st.lists(WORDS, max_size=3), FILES), min_size=1, max_size=10)


@settings(deadline=None, max_examples=60)
@given(PATHS)
def test_training_and_doctor_agree_on_any_folder(paths):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, (parts, name) in enumerate(paths):
            path = root.joinpath(*parts, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in ("1.png", "2.png", "1_mask.png"):
                image(path, number)
            else:
                path.write_text("file,label\n1.png,cat\n2.png,dog\n")
        try:
            data = json.loads(json.dumps(vitrail.doctor(str(root))["data"]))
            fine = not (data["mistakes"] or data["damaged"] or data["duplicates"])
        except VitrailError:
            data, fine = {"task": "classify"}, False
        asked = find_spec(data["task"] or "classify").settings(data=str(root))
        try:
            find_task(asked.task).open(asked)
            opened = True
        except VitrailError:
            opened = False
        assert opened or not fine


def test_images_beside_annotations_that_are_no_masks_are_classes_for_the_doctor_as_for_training(tmp_path: Path, capsys):
    pets(tmp_path / "images" / "Images")
    (tmp_path / "annotations" / "Annotation" / "cat").mkdir(parents=True)
    (tmp_path / "annotations" / "Annotation" / "cat" / "n02_1").write_text("<annotation></annotation>")
    assert cli.main(["doctor", str(tmp_path)]) == 0
    assert open_source(tmp_path).class_names == ("cat", "dog")
