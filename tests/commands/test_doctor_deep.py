"""``vitrail doctor --deep``: any data, any encoder, goes on where it was stopped, and changes nothing of the data."""

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import vitrail
from tests.audit.test_near_duplicates import scene
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.errors import VitrailError

CPU = ["--device", "cpu"]


def photos(root: Path, classes: int = 3, each: int = 6) -> Path:
    """Write scenes in two splits, one of them a mirrored copy from the other split, and one damaged file."""
    for split, first in (("train", 0), ("test", 1000)):
        for label in range(classes):
            for number in range(each):
                path = root / split / f"class {label}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                scene(first + 100 * label + number, (64, 48)).save(path)
    return root


def with_faults(root: Path) -> Path:
    photos(root)
    with Image.open(root / "test" / "class 1" / "2.png") as image:
        ImageOps.mirror(image).save(root / "train" / "class 1" / "copy.jpg", quality=90)
    (root / "train" / "class 0" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return root


def deep(data: Path, out: Path, *words: object) -> int:
    return main(["doctor", str(data), "--deep", "--out", str(out), "--workers", "0", *map(str, words)])


def table(out: Path) -> list[dict[str, str]]:
    with (out / "suggestions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_what_must_be_mended_is_found_said_and_left_out_of_a_clean_folder(tmp_path: Path, capsys) -> None:
    data, out, clean = with_faults(tmp_path / "photos"), tmp_path / "audit", tmp_path / "clean"
    before = contents(data)
    encoder = untrained(tmp_path / "run")
    assert deep(data, out, "--encoder", encoder, *CPU, "--write", clean) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert contents(data) == before, "nothing of the data is changed"
    rows = table(out)
    assert list(rows[0]) == ["file", "split", "class", "what", "suggestion", "other", "score"]
    damaged, leak = rows[0], rows[1]
    assert (Path(damaged["file"]).name, damaged["what"]) == ("3.png", "damaged")
    assert (Path(leak["file"]).name, leak["split"], leak["class"]) == ("copy.jpg", "train", "class 1")
    assert leak["what"] == "near duplicate in two splits"
    assert "mirrored copy is in test" in leak["suggestion"]
    assert Path(leak["other"]).parts[-3:] == ("test", "class 1", "2.png")
    assert float(leak["score"]) > 0.87
    assert sum(row["what"].startswith("near duplicate") for row in rows) == 1
    assert set(before) - set(contents(clean)) == {"train/class 0/3.png", "train/class 1/copy.jpg"}
    assert "left out: 1 damaged, 1 near duplicate in two splits" in printed
    assert "Labels, outliers and all else that is only suspicious are as they were." in printed
    assert printed.endswith(f"next: vitrail train {clean}")
    page = (out / "doctor.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/jpeg;base64,") >= 2
    assert deep(clean, tmp_path / "again", "--encoder", encoder, *CPU) == 0, "the clean folder is clean"


def test_without_an_encoder_it_says_what_is_not_looked_for_and_with_which_command_it_is(tmp_path: Path, capsys) -> None:
    data = with_faults(tmp_path / "my photos")
    assert deep(data, tmp_path / "audit") == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert f"vitrail doctor '{data}' --deep --encoder MODEL" in printed
    assert {row["what"] for row in table(tmp_path / "audit")} == {"damaged", "near duplicate in two splits"}
    found = json.loads((tmp_path / "audit" / "doctor.json").read_text())
    assert (found["encoder"], found["cross_validated_accuracy"], found["leaks"]) == (None, None, 1)


def test_in_python_all_figures_come_back(tmp_path: Path) -> None:
    data, encoder = with_faults(tmp_path / "photos"), untrained(tmp_path / "run")
    found = vitrail.doctor(data, deep=True, encoder=encoder, out=tmp_path / "audit", device="cpu", workers=0)["audit"]
    count = 3 * 6 * 2 + 1
    assert len(found.rows.number) == count - 1, "one is damaged"
    assert found.rows.doubts.probabilities.shape == (count - 1, 3)
    assert np.allclose(found.rows.doubts.probabilities.sum(axis=1), 1, atol=1e-5)
    assert found.rows.outlier.shape == (count - 1,)
    assert (found.leaks, found.wrong, len(found.damaged)) == (1, True, 1)


def test_suspicions_alone_are_nothing_wrong(tmp_path: Path, capsys) -> None:
    data = photos(tmp_path / "photos")
    Image.new("RGB", (64, 48), "black").save(data / "train" / "class 0" / "black.png")
    assert deep(data, tmp_path / "audit", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["audit"]["counts"] == {"dark": 1}
    assert found["audit"]["suggestions"][0]["suggestion"].startswith("look at it, dark: mean brightness 0.000")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--write CLEAN", "is of an audit; add --deep"),
        ("--encoder x", "is of an audit; add --deep"),
        ("--deep --pool mean", "add --deep --encoder MODEL"),
        ("--deep --hard-links", "add --write FOLDER"),
        ("--deep --write DATA", "--write"),
        ("--deep --write DATA/inside", "lies inside"),
        ("--deep --write FULL", "not empty"),
        ("--deep --out DATA", "choose a folder beside it"),
        ("--deep --encoder NOWHERE", "NOWHERE"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(tmp_path: Path, capsys, words: str, said: str) -> None:
    data = photos(tmp_path / "photos", 2, 1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    words = (
        words.replace("DATA", str(data)).replace("CLEAN", str(tmp_path / "c")).replace("FULL", str(tmp_path / "full"))
    )
    options = ["--out", str(tmp_path / "out")] if "--deep" in words and "--out" not in words else []
    assert main(["doctor", str(data), *words.split(), *options]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()
    assert len(contents(data)) == 4


@pytest.mark.parametrize("model", ["swin_t", "bit_r50x1"])
def test_any_backbone_is_an_encoder(tmp_path: Path, model: str) -> None:
    data = photos(tmp_path / "photos", 2, 5)
    found = vitrail.doctor(
        data, deep=True, encoder=untrained(tmp_path / "run", model=model), out=tmp_path / "o", device="cpu", workers=0
    )["audit"]
    assert found.rows.doubts is not None
    assert np.isfinite(found.rows.outlier).all()


def test_one_image_a_class_cannot_be_cross_validated_and_two_classes_can(tmp_path: Path) -> None:
    encoder = untrained(tmp_path / "run")
    for number in range(5):
        path = tmp_path / "single" / f"class {number}" / "1.png"
        path.parent.mkdir(parents=True)
        scene(number, (64, 48)).save(path)
    found = vitrail.doctor(tmp_path / "single", deep=True, encoder=encoder, out=tmp_path / "a", workers=0)["audit"]
    assert found.rows.doubts is None
    assert any("No class has 5 different images" in sentence for sentence in found.sentences)
    pair = photos(tmp_path / "pair", 2, 5)
    shutil.rmtree(pair / "test" / "class 1")
    found = vitrail.doctor(pair, deep=True, encoder=encoder, out=tmp_path / "b", workers=0)["audit"]
    assert found.rows.doubts.probabilities.shape == (15, 2)
    assert found.classes == {"class 0": {"train": 5, "test": 5}, "class 1": {"train": 5, "test": 0}}
    assert not any("Imbalanced" in sentence for sentence in found.sentences)
    for number in range(1, 5):
        (pair / "train" / "class 1" / f"{number}.png").unlink()
    found = vitrail.doctor(pair, deep=True, out=tmp_path / "c", workers=0)["audit"]
    assert "Imbalanced: 1 images of 'class 1' to 10 of 'class 0', all splits together." in found.sentences


def test_images_without_labels_are_audited_and_what_is_not_is_said(tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        scene(number, (64, 48)).save(path)
    shutil.copy(tmp_path / "photos" / "3.png", tmp_path / "photos" / "9.png")
    encoder = untrained(tmp_path / "run")
    found = vitrail.doctor(tmp_path / "photos", deep=True, encoder=encoder, out=tmp_path / "a", workers=0)["audit"]
    assert [(one.what, Path(one.other).name) for one in found.suggestions] == [("near duplicate", "3.png")]
    assert not found.wrong
    assert any("The images have no labels" in sentence for sentence in found.sentences)


def test_masks_and_boxes_are_audited_as_images_and_labels_are_said_not_to_be(tmp_path: Path) -> None:
    masks, boxes = tmp_path / "streets", tmp_path / "boxes"
    for number in range(6):
        split = ("train", "val")[number % 2]
        for folder in (masks / "images" / split, masks / "masks" / split, boxes / "images" / split):
            folder.mkdir(parents=True, exist_ok=True)
        for root in (masks, boxes):
            scene(number, (64, 48)).save(root / "images" / split / f"{number}.png")
        mask = np.zeros((48, 64), np.uint8)
        mask[number:] = 1
        Image.fromarray(mask).save(masks / "masks" / split / f"{number}.png")
    (boxes / "annotations").mkdir()
    for split, numbers in (("train", (0, 2, 4)), ("val", (1, 3, 5, 7))):
        images = [{"id": n + 1, "file_name": f"{n}.png", "width": 64, "height": 48} for n in numbers]
        objects = [
            {"id": n + 1, "image_id": n + 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81} for n in numbers
        ]
        content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cup"}]}
        (boxes / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    shutil.copy(masks / "images" / "train" / "0.png", masks / "images" / "val" / "1.png")
    encoder = untrained(tmp_path / "run")
    found = vitrail.doctor(masks, deep=True, encoder=encoder, out=tmp_path / "a", workers=0)["audit"]
    assert (found.leaks, found.rows.doubts) == (1, None)
    assert any("Labels are of pixels" in sentence for sentence in found.sentences)
    found = vitrail.doctor(boxes, deep=True, encoder=encoder, out=tmp_path / "b", workers=0)["audit"]
    assert (len(found.damaged), found.rows.doubts) == (1, None), "7.png is named and not there"
    assert any("Labels are of boxes" in sentence for sentence in found.sentences)


def test_where_no_image_can_be_read_it_is_said_in_a_sentence(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "photos" / f"class {number}" / "1.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\nno more")
    with pytest.raises(VitrailError, match="none of the 3 images can be read"):
        vitrail.doctor(tmp_path / "photos", deep=True, out=tmp_path / "a", workers=0)


def test_drawn_scenes_have_no_files_to_audit() -> None:
    with pytest.raises(VitrailError, match="no files to audit"):
        vitrail.doctor("scenes", deep=True)


def test_an_encoder_that_was_trained_on_the_images_is_said_to_hide_errors(tmp_path: Path) -> None:
    data, run = photos(tmp_path / "photos", 2, 4), untrained(tmp_path / "run")
    config = next(run.rglob("config.json"))
    written = json.loads(config.read_text())
    written["settings"]["data"] = str(data)
    config.write_text(json.dumps(written))
    found = vitrail.doctor(data, deep=True, encoder=run, out=tmp_path / "a", device="cpu", workers=0)["audit"]
    assert any("learnt by heart" in sentence for sentence in found.sentences)


def test_what_was_computed_is_not_computed_again_and_other_images_are(tmp_path: Path, monkeypatch) -> None:
    import vitrail.runs.described as module

    data, encoder = photos(tmp_path / "photos", 2, 5), untrained(tmp_path / "run")
    compute, counts = module.compute, []
    monkeypatch.setattr(module, "compute", lambda *words: counts.append(compute(*words)))
    asked = {"deep": True, "encoder": encoder, "out": tmp_path / "a", "device": "cpu", "workers": 0}
    first = vitrail.doctor(data, **asked)["audit"]
    again = vitrail.doctor(data, **asked)["audit"]
    assert counts == [20, 20, 0, 0]
    assert np.array_equal(first.rows.doubts.confidence, again.rows.doubts.confidence)
    scene(77, (64, 48)).save(data / "train" / "class 0" / "new.png")
    vitrail.doctor(data, **asked)
    assert counts[4:] == [21, 21]


@pytest.mark.slow
def test_an_interrupted_audit_goes_on_and_gives_what_one_in_a_piece_gives(tmp_path: Path) -> None:
    data, encoder = photos(tmp_path / "photos", 4, 60), untrained(tmp_path / "run")
    words = [sys.executable, "-m", "vitrail", "doctor", str(data), "--deep", "--encoder", str(encoder), *CPU]
    process = subprocess.Popen(
        [*words, "--out", str(tmp_path / "a"), "--workers", "0"], stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "a" / "computed" / "pixels").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "the same command goes on" in process.communicate()[1]
    assert process.returncode == 130
    for out in ("a", "b"):
        assert subprocess.run([*words, "--out", str(tmp_path / out)], check=False, env=os.environ).returncode == 0
    assert (tmp_path / "a" / "suggestions.csv").read_bytes() == (tmp_path / "b" / "suggestions.csv").read_bytes()
