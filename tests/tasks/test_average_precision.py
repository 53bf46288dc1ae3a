import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from vitrail.data.rle import encode
from vitrail.heads.detections import Detections
from vitrail.tasks.detection.average_precision import NAMES, class_precisions, to_results, twelve_figures


@pytest.mark.skipif("VITRAIL_DATA" not in os.environ, reason="needs VITRAIL_DATA")
@pytest.mark.parametrize(("kind", "masks"), [("bbox", False), ("segm", True)])
def test_the_twelve_official_figures_come_out_to_the_printed_digit(kind: str, masks: bool) -> None:
    root = Path(os.environ["VITRAIL_DATA"]) / "coco_map_oracle"
    truth = json.loads((root / "instances_val2014_100.json").read_text())
    results = json.loads((root / f"instances_val2014_fake{kind}100_results.json").read_text())
    printed = (root / "val2014_fake_eval_res.txt").read_text().split(f"type={kind}")[1].split("type=")[0]
    official = [line.split("=")[-1].strip() for line in re.findall(r"Average .*", printed)]
    ours = [f"{value:.3f}" for value in twelve_figures(truth, results, masks).values()]
    assert ours == official
    assert len(ours) == 12


def truth_with(boxes: list[list[float]], crowd: int = -1) -> dict:
    annotations = [
        {
            "id": n + 1,
            "image_id": 0,
            "category_id": 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(n == crowd),
            "segmentation": encode(np.pad(np.ones((20, 20), dtype=bool), ((0, 180), (0, 180)))),
        }
        for n, box in enumerate(boxes)
    ]
    images = [{"id": 0, "width": 200, "height": 200}]
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }


def found_at(boxes: list[list[float]], scores: list[float]) -> list[dict]:
    return [
        {"image_id": 0, "category_id": 1, "bbox": box, "score": score} for box, score in zip(boxes, scores, strict=True)
    ]


def test_all_found_is_one_and_nothing_found_is_zero() -> None:
    boxes = [[10, 10, 40, 40], [80, 80, 50, 60]]
    truth = truth_with(boxes)
    figures = twelve_figures(truth, found_at(boxes, [0.9, 0.8]))
    assert figures["ap"] == pytest.approx(1.0)
    assert {type(value) for value in figures.values()} == {float}
    assert twelve_figures(truth, [])["ap"] == 0.0
    assert class_precisions(truth, [])[1] == (0.0, 0.0)
    assert np.isnan(class_precisions(truth, found_at(boxes, [0.9, 0.8]))[2][0])


def test_without_an_object_there_is_nothing_to_measure() -> None:
    figures = twelve_figures(truth_with([]), found_at([[1, 1, 5, 5]], [0.9]))
    assert all(np.isnan(figures[name]) for name in NAMES)


def test_what_is_found_in_a_crowd_counts_neither_way() -> None:
    truth = truth_with([[10, 10, 40, 40], [100, 100, 80, 80]], crowd=1)
    results = found_at([[10, 10, 40, 40], [110, 110, 30, 30], [120, 130, 30, 30]], [0.5, 0.9, 0.8])
    assert twelve_figures(truth, results)["ap"] == pytest.approx(1.0)


def test_a_wrong_detection_above_the_right_one_halves_the_precision() -> None:
    truth = truth_with([[10, 10, 40, 40]])
    results = found_at([[100, 100, 20, 20], [10, 10, 40, 40]], [0.9, 0.8])
    assert twelve_figures(truth, results)["ap50"] == pytest.approx(0.5)


def test_a_found_mask_is_pasted_where_its_box_is() -> None:
    masks = torch.ones(2, 28, 28)
    masks[1, :, :14] = 0
    boxes = torch.tensor([[10.0, 20, 30, 60], [-5, -5, 5, 5]])
    found = Detections(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), masks)
    whole = found.pasted(0, 100, 80)
    assert whole[20:60, 10:30].all()
    assert whole.sum() == 40 * 20
    border = found.pasted(1, 100, 80)
    assert border.sum() > 0
    assert not border[6:].any()
    assert not border[:, 6:].any()
    one = to_results(found, 7, 100, 80)[0]
    assert one["bbox"] == [10, 20, 20, 40]
    assert (one["image_id"], one["category_id"]) == (7, 1)
