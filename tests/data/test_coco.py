import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vitrail import cli
from vitrail.data.coco import CocoImage, each_mistake, open_coco, read_annotations
from vitrail.errors import DataError

BOX = [[2, 3, 10, 3, 10, 9, 2, 9]]


def write(root: Path, change: Any = None, split: str = "train") -> Path:
    """Write two images, one with a polygon, run lengths and a crowd, the other empty; ids leave numbers out."""
    (root / "annotations").mkdir(exist_ok=True, parents=True)
    (root / "images" / split).mkdir(parents=True, exist_ok=True)
    for name, size in (("a.png", (20, 12)), ("b.png", (8, 8))):
        Image.new("RGB", size, (90, 120, 30)).save(root / "images" / split / name)
    crowd = np.zeros((12, 20), dtype=bool)
    crowd[6:, 10:] = True
    counts = [int(n) for n in np.diff(np.flatnonzero(np.diff(np.pad(crowd.T.ravel(), 1).astype(int))))]
    first = int(np.flatnonzero(crowd.T.ravel())[0])
    runs = [first, *counts]
    runs.append(240 - sum(runs))
    content: dict[str, Any] = {
        "images": [
            {"id": 70, "file_name": "a.png", "width": 20, "height": 12},
            {"id": 9, "file_name": "b.png", "width": 8, "height": 8},
        ],
        "categories": [{"id": 90, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 70, "category_id": 90, "bbox": [2, 3, 8, 6], "segmentation": BOX, "area": 48},
            {
                "id": 2,
                "image_id": 70,
                "category_id": 3,
                "bbox": [10, 6, 10, 6],
                "segmentation": {"size": [12, 20], "counts": runs},
                "iscrowd": 1,
                "area": 60,
            },
        ],
    }
    if change:
        change(content)
    (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


def test_ids_with_gaps_become_numbers_and_crowds_are_not_learned_from(tmp_path: Path) -> None:
    source = open_coco(write(tmp_path), validation_share=0.0)
    assert source.class_names == ("cat", "dog")
    images = source.train
    assert images is not None
    assert images.names == ("b.png", "a.png")
    assert len(images.annotated[0].objects()) == 0
    objects = images.annotated[1].objects()
    assert objects.classes.tolist() == [1]
    assert objects.boxes.tolist() == [[2, 3, 10, 9]]
    assert objects.masks.shape == (1, 12, 20)
    assert objects.masks.sum() == 48
    assert [one.get("iscrowd", 0) for one in images.annotated[1].truth()] == [0, 1]


@pytest.mark.parametrize("name", ["./a.png", "images/train/a.png", "images\\train\\a.png", "x/../a.png"])
def test_one_file_listed_by_two_names_is_refused_as_it_would_be_learned_from_and_held_out(tmp_path: Path, name: str):
    def again(content: dict[str, Any]) -> None:
        content["images"].append({"id": 71, "file_name": name, "width": 20, "height": 12})

    with pytest.raises(DataError, match=r"a\.png twice"):
        open_coco(write(tmp_path, again))


@pytest.mark.parametrize("wrapper", ["archive", "a/b c"])
def test_a_wrapper_is_entered_and_it_is_said(tmp_path: Path, wrapper: str, capsys) -> None:
    write(tmp_path / wrapper)
    source = open_coco(tmp_path, validation_share=0.0)
    assert repr(wrapper) in source.notes[0]
    cli.main(["doctor", str(tmp_path)])
    assert "train: 2 objects" in capsys.readouterr().out


def test_annotations_by_another_name_are_named(tmp_path: Path) -> None:
    write(tmp_path, split="default")
    with pytest.raises(DataError, match=r"no annotations/instances_train.json; in annotations is 'instances_default"):
        open_coco(tmp_path)


def test_a_crowds_run_lengths_are_its_mask(tmp_path: Path) -> None:
    known: Any = open_coco(write(tmp_path), validation_share=0.0).train.annotated[1]  # type: ignore[union-attr]
    mask = known.mask(known.annotations[1])
    assert mask[6:, 10:].all()
    assert mask.sum() == 60


def test_a_year_after_the_split_is_welcome(tmp_path: Path) -> None:
    root = write(tmp_path, split="train2017")
    assert len(open_coco(root, validation_share=0.0).train or ()) == 2


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda c: c["annotations"][0].update(category_id=4), "category 4, which is not listed"),
        (lambda c: c["annotations"][0].update(image_id=4), "image 4, which is not listed"),
        (lambda c: c.pop("categories"), "has no categories"),
        (lambda c: c["images"][0].update(file_name="lost.png"), "lost.png"),
        (lambda c: c["categories"].append({"id": 5, "name": "cat"}), "different categories"),
        (lambda c: c.update(annotations=None), "has no annotations"),
        (lambda c: c["annotations"][0].pop("image_id"), "number 0 of its annotations has no image_id"),
        (lambda c: c["images"][1].pop("width"), "number 1 of its images has no width"),
        (lambda c: c["images"].append(c["images"][0]), "1 images share their id"),
        (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), r"has \[1, 2, 3\] for a box"),
        (lambda c: c["annotations"][0].update(bbox=[math.nan, 2, 3, 4]), "for a box"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_sentence(tmp_path: Path, change: Any, answer: str) -> None:
    with pytest.raises(DataError, match=answer) as error:
        open_coco(write(tmp_path, change))
    assert "\n" not in str(error.value)


def test_a_folder_without_annotations_says_where_they_belong(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="instances_train"):
        open_coco(tmp_path)


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (lambda one: one.update(bbox=[15, 3, 9, 6]), "leaves its image"),
        (lambda one: one.update(bbox=[2, 3, 0, 6]), "without an inside"),
        (lambda one: one.update(segmentation={"size": [12, 20], "counts": [240]}), "mask without a pixel"),
        (lambda one: one.update(segmentation={"size": [20, 12], "counts": [240]}), "for 12 x 20 pixels"),
        (lambda one: one.update(segmentation=[1, 1, 5, 1, 5, 5]), "three or more corners"),
        (lambda one: one.update(bbox=["left", 3, 0, 6]), "a box that is not four numbers"),
        (lambda one: one.update(category_id=77), "category 77"),
        (lambda one: one.update(image_id=77), "image 77"),
    ],
)
def test_every_mistake_of_an_annotation_is_named(tmp_path: Path, change: Any, mistake: str) -> None:
    root = write(tmp_path, lambda content: change(content["annotations"][0]))
    (found,) = each_mistake(read_annotations(root / "annotations" / "instances_train.json"))
    assert mistake in found


def test_a_file_that_holds_no_object_at_all_is_said_to_be_none_of_cocos(tmp_path: Path) -> None:
    (tmp_path / "instances_train.json").write_text("6")
    with pytest.raises(DataError, match="no file of COCO's instances"):
        read_annotations(tmp_path / "instances_train.json")


def test_nothing_but_a_mask_of_the_image_is_measured_against(tmp_path: Path) -> None:
    def end_too_late(content: Any) -> None:
        content["annotations"][1]["segmentation"]["counts"][0] += 1

    with pytest.raises(DataError, match=r"instances_train\.json: annotation 2 .* run lengths add up"):
        open_coco(write(tmp_path, end_too_late), validation_share=0.0)
    wrong = {"id": 2, "bbox": [1, 1, 2, 2], "segmentation": {"size": [12, 20], "counts": [241]}, "class": 0}
    with pytest.raises(DataError, match=r"of a\.png: run lengths add up"):
        CocoImage("a.png", (20, 12), (wrong,)).truth()


@pytest.mark.skipif("VITRAIL_DATA" not in os.environ, reason="needs VITRAIL_DATA")
def test_masks_of_real_polygons_are_those_of_coco_but_for_their_border() -> None:
    official = pytest.importorskip("faster_coco_eval").mask
    source = open_coco(Path(os.environ["VITRAIL_DATA"]) / "coco_mini")
    assert len(source.class_names) == 80
    for known in source.train.annotated[:40]:  # type: ignore[union-attr]
        width, height = known.size
        for annotation in known.annotations:  # type: ignore[attr-defined]
            parts = official.frPyObjects(annotation["segmentation"], height, width)
            theirs = official.decode(official.merge(parts) if isinstance(parts, list) else parts).astype(bool)
            ours = known.mask(annotation)  # type: ignore[attr-defined]
            around = np.abs(np.diff(np.pad(theirs, 1).astype(int), axis=0)).sum()
            assert (ours ^ theirs).sum() <= 2 * around + 4


@pytest.mark.parametrize(
    ("labels", "text", "name"),
    [("labels/train/1.txt", "0 0.5 0.5 0.2 0.2\n", "YOLO"), ("Annotations/1.xml", "<annotation/>", "Pascal VOC")],
)
def test_the_layout_of_another_detection_set_is_named(labels: str, text: str, name: str, tmp_path: Path) -> None:
    images = "JPEGImages/1.png" if name == "Pascal VOC" else "images/train/1.png"
    for file in (tmp_path / labels, tmp_path / images):
        file.parent.mkdir(parents=True)
    (tmp_path / labels).write_text(text)
    Image.new("RGB", (30, 20)).save(tmp_path / images)
    with pytest.raises(DataError, match=f"looks like a {name} set: convert its labels"):
        open_coco(tmp_path)
