"""A clean folder is what stood there without what must not be in it, in the same layout; or it is not there at all."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitrail.audit.clean_folder as clean_folder
from vitrail.audit.advice import ACROSS, DAMAGED, TWO_CLASSES, WITHIN, advice
from vitrail.audit.clean_folder import check_clean_folder, planned, write_clean
from vitrail.audit.descriptors import Descriptors
from vitrail.audit.images import audited_data
from vitrail.audit.near_duplicates import Pair
from vitrail.audit.rows import Rows
from vitrail.data.coco import open_coco
from vitrail.data.segment_folders import open_segments
from vitrail.data.sources import open_source
from vitrail.errors import ConfigError, DataError, Interrupted


def image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def folders(root: Path) -> Path:
    for number in range(12):
        split, name = ("train", "test")[number % 3 == 2], ("cat", "dog")[number % 2]
        image(root / split / name / f"{number}.png", number + 3)
    return root


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def number_of(data, name: str) -> int:
    return next(place for place, item in enumerate(data.listed.items) if Path(item.name).name == name)


def test_folders_keep_their_layout_and_their_files_bit_by_bit(tmp_path: Path) -> None:
    root = folders(tmp_path / "pets")
    (root / "notes.txt").write_text("of no use")
    data = audited_data(str(root))
    write_clean(tmp_path / "clean", planned(data, {number_of(data, "4.png"), number_of(data, "5.png")}))
    assert files(tmp_path / "clean") == files(root) - {"train/cat/4.png", "test/dog/5.png", "notes.txt"}
    for name in files(tmp_path / "clean"):
        assert (tmp_path / "clean" / name).read_bytes() == (root / name).read_bytes()
    before, after = open_source(root), open_source(tmp_path / "clean")
    assert after.class_names == before.class_names
    assert len(after.test or ()) == len(before.test or ()) - 1


def test_a_table_becomes_images_beside_a_table_whatever_their_names(tmp_path: Path) -> None:
    rows = []
    for number in range(8):
        path = image(tmp_path / "of" / ("here", "there")[number % 2] / f"{number // 2}.png", number)
        rows.append((path.relative_to(tmp_path), ("a/b", "c,d")[number // 2 % 2], ("train", "test")[number > 5]))
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "label", "split"), *rows])
    data = audited_data(str(tmp_path / "list.csv"))
    write_clean(tmp_path / "clean", planned(data, {1}))
    assert len(files(tmp_path / "clean")) == 7 + 1
    before, after = open_source(tmp_path / "list.csv"), open_source(tmp_path / "clean" / "labels.csv")
    assert after.class_names == before.class_names == ("a/b", "c,d")
    kept = [item for place, item in enumerate(data.listed.items) if place != 1]
    with (tmp_path / "clean" / "labels.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    for row, item in zip(read, kept, strict=True):
        assert item.path is not None
        assert (tmp_path / "clean" / row["file"]).read_bytes() == item.path.read_bytes()
    assert [row["label"] for row in read] == [label for place, label in enumerate(data.listed.labels) if place != 1]


def test_masks_and_names_go_with_their_images(tmp_path: Path) -> None:
    root = tmp_path / "streets"
    for number in range(6):
        split = ("train", "val")[number % 2]
        image(root / "images" / split / f"{number}.png", number)
        mask = np.zeros((12, 12), np.uint8)
        mask[number:] = 1
        (root / "masks" / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / split / f"{number}.png")
    (root / "classes.txt").write_text("road\nsky\n")
    data = audited_data(str(root))
    write_clean(tmp_path / "clean", planned(data, {number_of(data, "3.png")}))
    assert files(tmp_path / "clean") == files(root) - {"images/val/3.png", "masks/val/3.png"}
    assert open_segments(tmp_path / "clean").class_names == ("road", "sky")


def test_annotations_lose_the_objects_of_images_that_are_left_out_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / "boxes"
    for split in ("train", "val"):
        images = []
        for number in range(4):
            image(root / "images" / split / f"{split}{number}.png", number)
            images.append({"id": 10 + number, "file_name": f"{split}{number}.png", "width": 12, "height": 12})
        objects = [
            {"id": k, "image_id": 10 + k % 4, "category_id": 7, "bbox": [1, 1, 5, 6], "area": 30, "iscrowd": 0}
            for k in range(8)
        ]
        content = {"info": {"year": 2020}, "images": images, "annotations": objects}
        content["categories"] = [{"id": 7, "name": "cup"}, {"id": 9, "name": "cat"}]
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    data = audited_data(str(root))
    assert (data.kind, len(data.listed.items)) == ("objects", 8)
    write_clean(tmp_path / "clean", planned(data, {number_of(data, "train2.png")}))
    assert files(tmp_path / "clean") == files(root) - {"images/train/train2.png"}
    for split, count in (("train", 3), ("val", 4)):
        before, after = (
            json.loads((place / "annotations" / f"instances_{split}.json").read_text())
            for place in (root, tmp_path / "clean")
        )
        assert len(after["images"]) == count
        assert after["annotations"] == [one for one in before["annotations"] if split == "val" or one["image_id"] != 12]
        assert (after["info"], after["categories"]) == (before["info"], before["categories"])
    assert len(open_coco(tmp_path / "clean").train or ()) == 3


def test_hard_links_are_the_same_files(tmp_path: Path) -> None:
    root = folders(tmp_path / "pets")
    data = audited_data(str(root))
    write_clean(tmp_path / "clean", planned(data, {0}), link=True)
    for name in files(tmp_path / "clean"):
        assert os.path.samefile(tmp_path / "clean" / name, root / name)  # noqa: PTH121


def test_a_folder_that_holds_something_is_refused_and_an_empty_one_is_filled(tmp_path: Path) -> None:
    data = audited_data(str(folders(tmp_path / "pets")))
    (tmp_path / "clean").mkdir()
    check_clean_folder(tmp_path / "clean", data)
    write_clean(tmp_path / "clean", planned(data, set()))
    assert len(files(tmp_path / "clean")) == 12
    with pytest.raises(ConfigError, match="not empty"):
        check_clean_folder(tmp_path / "clean", data)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        check_clean_folder(tmp_path / "file", data)
    with pytest.raises(ConfigError, match="lies in no files"):
        check_clean_folder(tmp_path / "new", audited_data("digits"))


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_whatever_ends_it_nothing_half_is_left(tmp_path: Path, monkeypatch, trouble: BaseException) -> None:
    data = audited_data(str(folders(tmp_path / "pets")))
    copy, done = clean_folder._placed, []

    def failing(target: Path, file: Path, link: bool) -> None:
        if len(done) == 5:
            raise trouble
        done.append(target)
        copy(target, file, link)

    monkeypatch.setattr(clean_folder, "_placed", failing)
    with pytest.raises((Interrupted, DataError)) as caught:
        write_clean(tmp_path / "clean", planned(data, set()))
    assert "clean" in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"pets"}
    monkeypatch.setattr(clean_folder, "_placed", copy)
    (tmp_path / ".clean.unfinished" / "of one that was killed").mkdir(parents=True)
    write_clean(tmp_path / "clean", planned(data, set()))
    assert {path.name for path in tmp_path.iterdir()} == {"pets", "clean"}
    assert len(files(tmp_path / "clean")) == 12


def test_the_copy_that_is_measured_on_stays_and_copies_within_a_split_are_left_to_people(tmp_path: Path) -> None:
    root = folders(tmp_path / "pets")
    data = audited_data(str(root))
    names = [Path(item.name).name for item in data.listed.items]
    at = {name.removesuffix(".png"): place for place, name in enumerate(names)}
    pairs = [
        Pair(*sorted((at["0"], at["2"])), 0.99, False, "hash"),  # train cat, test cat
        Pair(*sorted((at["0"], at["4"])), 0.98, True, "hash"),  # both train cat: a copy of a copy
        Pair(*sorted((at["1"], at["6"])), 0.97, False, "hash"),  # both train; dog and cat
        Pair(*sorted((at["7"], at["9"])), 0.96, False, "hash"),  # both train dog
    ]
    nothing = np.zeros(0)
    rows = Rows(nothing, Descriptors(nothing, nothing, nothing, np.zeros((0, 63))), np.zeros((0, 2)), nothing)
    found = advice(data, [(at["10"], "it is damaged")], pairs, rows)
    assert [(Path(one.file).name, one.what) for one in found if one.leave_out] == [
        ("10.png", DAMAGED),
        ("0.png", ACROSS),
        ("4.png", ACROSS),
    ]
    rest = [(Path(one.file).name, one.what, Path(one.other).name) for one in found if not one.leave_out]
    assert ("6.png", TWO_CLASSES, "1.png") in rest or ("1.png", TWO_CLASSES, "6.png") in rest
    assert ("9.png", WITHIN, "7.png") in rest
    assert all("test" not in Path(one.file).parts[-3:] for one in found), "nothing is taken from the test images"
