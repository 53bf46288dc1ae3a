"""Average precision from matches that are kept by image: COCO's own figures, and intervals by drawing images anew."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vitrail.tasks.detection.average_precision import class_precisions, evaluate, twelve_figures
from vitrail.tasks.detection.matches import (
    FEWEST_OBJECTS,
    ClassMatches,
    class_precision,
    match_all,
    precisions_of,
)


def drawn(seed: int, images: int = 12, crowds: bool = True) -> tuple[dict, list[dict]]:
    """Return objects of three classes, and detections that lie near some of them, miss some, and are wrong."""
    random = np.random.RandomState(seed)
    annotations, results = [], []
    for image in range(images):
        for _ in range(random.randint(0, 5)):
            box = [*random.randint(0, 60, 2).tolist(), *random.randint(8, 40, 2).tolist()]
            kind = int(random.randint(1, 4))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": kind,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(crowds and random.random_sample() < 0.15),
                }
            )
            for _ in range(random.randint(0, 4)):
                near = (np.array(box) + random.randint(-6, 7, 4)).clip(1).tolist()
                results.append(found(image, kind if random.random_sample() < 0.8 else 1, near, random))
        results.append(found(image, 2, [1, 1, 30, 30], random))
    truth = {
        "images": [{"id": n, "width": 100, "height": 100} for n in range(images)],
        "annotations": annotations,
        "categories": [{"id": n + 1, "name": name} for n, name in enumerate("abcd")],
    }
    return truth, results


def found(image: int, kind: int, box: list[float], random: np.random.RandomState) -> dict:
    score = round(float(random.random_sample()), 2)
    return {"image_id": image, "category_id": kind, "bbox": [float(side) for side in box], "score": score}


@pytest.mark.parametrize("seed", [3, 4, 5, 6])
def test_with_every_image_once_the_figures_are_cocos(seed: int) -> None:
    truth, results = drawn(seed)
    matches = match_all(truth, results, evaluate(truth, results, False))
    ours, theirs = precisions_of(matches), twelve_figures(truth, results)
    assert [one.value for one in (ours.ap, ours.ap50, ours.ap75)] == pytest.approx(
        [theirs[name] for name in ("ap", "ap50", "ap75")]
    )
    of_classes = class_precisions(truth, results)
    for place, one in enumerate(ours.classes):
        ap = of_classes[place + 1][0]
        assert one.value == (None if np.isnan(ap) else pytest.approx(ap))


@pytest.mark.skipif("VITRAIL_DATA" not in os.environ, reason="needs VITRAIL_DATA")
@pytest.mark.parametrize(("kind", "masks"), [("bbox", False), ("segm", True)])
def test_on_real_detections_they_are_the_official_figures(kind: str, masks: bool) -> None:
    root = Path(os.environ["VITRAIL_DATA"]) / "coco_map_oracle"
    truth = json.loads((root / "instances_val2014_100.json").read_text())
    results = json.loads((root / f"instances_val2014_fake{kind}100_results.json").read_text())
    number = {one["id"]: place for place, one in enumerate(truth["images"])}
    truth["images"] = [{**one, "id": number[one["id"]]} for one in truth["images"]]
    for one in (*truth["annotations"], *results):
        one["image_id"] = number[one["image_id"]]
    theirs = twelve_figures(truth, results, masks)
    ours = precisions_of(match_all(truth, results, evaluate(truth, results, masks)))
    assert ours.ap.value == pytest.approx(theirs["ap"], abs=1e-6)
    assert ours.ap50.value == pytest.approx(theirs["ap50"], abs=1e-6)
    counts = np.bincount([one["category_id"] for one in truth["annotations"] if not one["iscrowd"]])
    assert ours.ap.low is None  # the 80 classes have 10 objects on average
    known = [one.low is not None for one in ours.classes]
    assert known == [counts[category["id"]] >= FEWEST_OBJECTS for category in truth["categories"]]
    assert any(known)


def test_an_image_that_counts_twice_is_one_that_is_there_twice() -> None:
    truth, results = drawn(8, 6)
    matches = match_all(truth, results, evaluate(truth, results, False))
    weights = np.array([[2, 1, 0, 1, 3, 1]])
    images = [number for number, times in enumerate(weights[0]) for _ in range(times)]

    def repeated(things: list[dict]) -> list[dict]:
        placed = ((place, one) for place, image in enumerate(images) for one in things if one["image_id"] == image)
        return [{**one, "image_id": place} for place, one in placed]

    again = {
        **truth,
        "images": [{"id": place, "width": 100, "height": 100} for place in range(len(images))],
        "annotations": [{**one, "id": n + 1} for n, one in enumerate(repeated(truth["annotations"]))],
    }
    of_classes = class_precisions(again, repeated(results))
    for place, one in enumerate(matches):
        ap, ours = of_classes[place + 1][0], class_precision(one, weights).mean()
        assert (
            np.isnan(ours) if np.isnan(ap) else ours == pytest.approx(ap, abs=0.02)
        )  # equal scores lie in other orders


def test_nothing_found_and_nothing_there_have_figures_without_an_error() -> None:
    truth, _ = drawn(3, 4, crowds=False)
    ours = precisions_of(match_all(truth, [], None))
    assert ours.ap.value == 0.0
    assert ours.classes[3].value is None
    one_image = precisions_of(match_all(*drawn(5, 1), evaluate(*drawn(5, 1), False)))
    assert one_image.resamples == 0
    assert one_image.ap.low is None


def test_nine_of_ten_intervals_hold_the_average_precision_of_all_images_there_could_be() -> None:
    """Drawn: objects of which some are found, the surer the likelier, and detections that are none."""

    def sample(random: np.random.RandomState, images: int, classes: int) -> list[ClassMatches]:
        matches = []
        for _ in range(classes):
            objects = random.poisson(1.0, images)
            there = np.repeat(np.arange(images), objects)
            false = np.repeat(np.arange(images), random.poisson(2.0, images))
            hit = random.random_sample(len(there)) > np.linspace(0.1, 0.9, 10)[:, None]
            hit = np.concatenate([hit, np.zeros((10, len(false)), dtype=bool)], axis=1)
            score = np.concatenate([random.beta(4, 2, len(there)), random.beta(2, 4, len(false))])
            order = np.argsort(-score, kind="stable")
            image = np.concatenate([there, false])[order]
            matches.append(ClassMatches(image, score[order], hit[:, order], np.zeros_like(hit), objects))
        return matches

    true = precisions_of(sample(np.random.RandomState(1), 20_000, 1)[:1], seed=1)
    found = [precisions_of(sample(np.random.RandomState(seed), 100, 4), seed) for seed in range(40)]
    assert sum(one.ap.low <= true.ap.value <= one.ap.high for one in found) >= 33
    assert sum(one.ap50.low <= true.ap50.value <= one.ap50.high for one in found) >= 33
