"""What all boxes of a COCO file tell together: corners taken for sides, and annotations listed twice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_coco_records import content, mistakes, opened, record, write
from vitrail.data.coco import count_objects, open_coco
from vitrail.errors import DataError

WIDTH, HEIGHT = 30, 20


def boxes(seed: int, count: int = 30, reach: float = 0.45) -> list[tuple[float, float, float, float]]:
    """Small boxes as left, top, width and height; their corners lie in the upper left part of the image."""
    chance = np.random.default_rng(seed)
    starts = chance.uniform(0, reach, (count, 2)) * (WIDTH, HEIGHT)
    sides = chance.uniform(1, 4, (count, 2))
    return [(x, y, w, h) for x, y, w, h in np.column_stack([starts, sides]).round(1).tolist()]


def records(seed: int, corners: bool, mask: bool = False, area: bool = False, **options: Any) -> list[dict[str, Any]]:
    found = []
    for number, (x, y, w, h) in enumerate(boxes(seed, **options)):
        polygon = {"segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]} if mask else {"segmentation": []}
        told = {"area": round(w * h, 2)} if area else {}
        found.append(record(id=number, bbox=[x, y, x + w, y + h] if corners else [x, y, w, h], **polygon, **told))
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("witness", ["area", "mask"])
def test_small_corners_inside_the_image_are_refused_where_areas_or_polygons_prove_them(
    witness: str, seed: int, tmp_path: Path
) -> None:
    root = write(tmp_path, content(*records(seed, True, **{witness: True})))
    with pytest.raises(DataError, match=r"if their numbers are left, top, right and bottom"):
        open_coco(root, validation_share=0.0)
    assert "left, top, right and bottom" in " ".join(mistakes(root))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_small_corners_inside_the_image_are_doubted_without_a_proof(seed: int, tmp_path: Path) -> None:
    root = write(tmp_path, content(*records(seed, True)))
    assert "look like left, top, right and bottom" in " ".join(open_coco(root, validation_share=0.0).notes)
    assert "look like left, top, right and bottom" in " ".join(mistakes(root))


@pytest.mark.parametrize("witness", ["area", "mask", ""])
@pytest.mark.parametrize("reach", [0.1, 0.45, 0.85])
@pytest.mark.parametrize("seed", range(3))
def test_boxes_in_cocos_form_are_never_taken_for_corners(witness: str, reach: float, seed: int, tmp_path: Path) -> None:
    root = write(tmp_path, content(*records(seed, False, reach=reach, **({witness: True} if witness else {}))))
    assert "right and bottom" not in " ".join((*mistakes(root), *open_coco(root, validation_share=0.0).notes))


@pytest.mark.parametrize("grows", [True, False])
def test_large_boxes_in_cocos_form_are_never_taken_for_corners(grows: bool, tmp_path: Path) -> None:
    """All of them are wider than they are far from the edge, as those of close-ups are."""
    sides = np.random.default_rng(5).uniform(0.55, 0.95, (30, 2)) * (WIDTH, HEIGHT)
    starts = (np.array([WIDTH, HEIGHT]) - sides) / 2 if grows else 0.9 * (np.array([WIDTH, HEIGHT]) - sides)
    found = [record(id=n, bbox=box, segmentation=[]) for n, box in enumerate(np.hstack([starts, sides]).tolist())]
    root = write(tmp_path, content(*found))
    assert "right and bottom" not in " ".join((*mistakes(root), *open_coco(root, validation_share=0.0).notes))


def test_annotations_listed_twice_are_said_by_training_and_doctor(tmp_path: Path) -> None:
    first = [record(id=n, image_id=i, bbox=[n, 2, 10, 8]) for n, i in enumerate((7, 8, 7))]
    other = [record(id=5, bbox=[0, 2, 10, 8], category_id=44), record(id=6, bbox=[0, 2, 10, 8], segmentation=[])]
    root = write(tmp_path, content(*first, *other, {**first[0], "id": 10}, {**first[2], "id": 11}))
    for said in (" ".join(open_coco(root, validation_share=0.0).notes), " ".join(mistakes(root))):
        assert "2 annotations are listed twice" in said
        assert "annotations 0 and 10" in said
    assert count_objects(opened(root)) == 7, "they are said, and left as they are"


def test_annotations_that_differ_in_class_box_crowd_or_mask_are_not_listed_twice(tmp_path: Path) -> None:
    turned = [[2.0, 2, 12, 10, 2, 10]]
    changes: list[dict[str, Any]] = [{}, {"image_id": 8}, {"category_id": 44}, {"bbox": [2, 2, 10, 9]}]
    changes += [{"segmentation": turned}, {"iscrowd": 1}]
    root = write(tmp_path, content(*(record(id=n, **one) for n, one in enumerate(changes))))
    assert "twice" not in " ".join((*mistakes(root), *open_coco(root, validation_share=0.0).notes))
