"""A predictor says of an image what the command says of it, whatever else is asked about in the same call."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.data_sets import WRITERS, Record
from tests.commands.untrained import NAMES, untrained
from vitrail.data.segments import SegmentImages
from vitrail.errors import ConfigError, DataError
from vitrail.tasks.detection.average_precision import to_results, truth_of, twelve_figures
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.registry import task_of
from vitrail.training.runtime import Runtime
from vitrail.weights.checkpoint import open_checkpoint

SIZES = ((40, 32), (32, 32), (57, 43))
MODELS = {"classify": "vit_ti16", "detect": "vit_ti16", "segment": "swin_t"}


def image_of(width: int, height: int) -> Image.Image:
    random = np.random.RandomState(width * height)
    return Image.fromarray(random.randint(0, 256, (height, width, 3)).astype(np.uint8))


IMAGES = [image_of(*size) for size in SIZES]


def predictor_of(folder: Path, task: str) -> Predictor[Any]:
    model, description = open_checkpoint(untrained(folder / "run", task, MODELS[task]))
    return task_of(description).predictor(model, description, Runtime.named("cpu", "fp32"))


def numbers(result: Any) -> Any:
    return json.loads(json.dumps(result.to_dict()))


@pytest.mark.parametrize("task", MODELS)
def test_an_image_has_the_same_result_whatever_the_batch_and_whatever_its_size(tmp_path: Path, task: str) -> None:
    predict = predictor_of(tmp_path, task)
    together = predict(IMAGES)
    alone = [predict([image])[0] for image in IMAGES]
    backwards = predict(IMAGES[::-1])[::-1]
    assert len(together) == len(IMAGES)
    for one, other, third in zip(together, alone, backwards, strict=True):
        if task == "classify":  # matrix products of other sizes may round otherwise
            torch.testing.assert_close(one.probabilities, other.probabilities, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(one.probabilities, third.probabilities, rtol=1e-5, atol=1e-6)
        else:
            assert numbers(one) == numbers(other) == numbers(third)
        assert "<table>" in one._repr_html_()


@pytest.mark.parametrize("task", MODELS)
def test_no_images_have_no_results(tmp_path: Path, task: str) -> None:
    assert predictor_of(tmp_path, task)([]) == []


def test_a_model_in_python_says_what_the_command_says(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run")
    model = vitrail.open_model(run, device="cpu")
    result = model.predict(IMAGES[0])
    (said,) = vitrail.predict(run, IMAGES[0], device="cpu", precision="fp32")
    assert result.top(3) == said.classes
    assert (result.label, result.probability) == (said.label, said.probability)
    assert result.probabilities.sum() == pytest.approx(1)
    assert [one.label for one in model.predict(IMAGES)] == [one.label for one in vitrail.predict(run, IMAGES)]


def test_a_model_in_python_embeds_preprocesses_and_shows_attention(tmp_path: Path) -> None:
    model = vitrail.open_model(untrained(tmp_path / "run"), device="cpu")
    vectors = model.embed(IMAGES)
    assert vectors.shape == (3, 24)
    torch.testing.assert_close(model.embed(IMAGES[1])[0], vectors[1], rtol=1e-4, atol=1e-5)
    assert model.preprocess(IMAGES[2]).shape == (3, 32, 32)
    maps = model.attention(IMAGES[0])
    assert (maps.rollout.shape, maps.heads.shape) == ((1, 4, 4), (1, 2, 4, 4))
    with pytest.raises(DataError, match="3 images"):
        model.preprocess(IMAGES)


def test_an_encoder_pretrained_without_labels_embeds_but_predicts_nothing(tmp_path: Path) -> None:
    model = vitrail.open_model(untrained(tmp_path / "run", model="mae_vit_ti16"), device="cpu")
    assert model.embed(IMAGES[0]).shape == (1, 24)
    with pytest.raises(ConfigError, match="knows no classes"):
        model.predict(IMAGES[0])


RECORDS = tuple(
    Record("train" if side % 2 else "val", name, f"{number}-{side}", 7 * side + number, side)
    for side in (32, 40, 57)
    for number, name in enumerate(NAMES)
)
"""Images of three sizes, which a batch has to fill up."""


def measured(folder: Path, task: str, layout: str) -> tuple[Any, list[Any], Any]:
    """Return what `evaluate` finds, what a predictor says of the same images one by one, and the images."""
    data = str(WRITERS[layout][1](folder / "data", RECORDS))
    run = untrained(folder / "run", task, MODELS[task])
    options = {} if task == "segment" else {"batch_size": 4}
    found = vitrail.evaluate(run, data, split="all", device="cpu", precision="fp32", **options)
    model, description = open_checkpoint(run)
    learned = task_of(description)
    predictor = learned.predictor(model, description, Runtime.named("cpu", "fp32"))
    if task == "detect":
        predictor.threshold = 0.0  # type: ignore[attr-defined]
    source = learned.reopen(description, data)
    parts = [part for part in (source.train, source.validation) if part is not None]
    images = [Image.open(item) for part in parts for item in part.items]  # type: ignore[arg-type]
    return found, [predictor([image])[0] for image in images], parts


def test_evaluate_counts_what_a_classifier_answers(tmp_path: Path) -> None:
    found, answers, parts = measured(tmp_path, "classify", "class folders")
    labels = [label for part in parts for label in part.labels]
    confusion = np.zeros((3, 3), int)
    for label, answer in zip(labels, answers, strict=True):
        confusion[label, NAMES.index(answer.label)] += 1
    assert found.confusion == tuple(map(tuple, confusion.tolist()))
    losses = [-answer.probabilities[label].log().item() for label, answer in zip(labels, answers, strict=True)]
    assert found.loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_evaluate_counts_the_pixels_that_a_segmenter_names(tmp_path: Path) -> None:
    found, answers, parts = measured(tmp_path, "segment", "images with masks")
    truths = [part.segments(n) for part in parts if isinstance(part, SegmentImages) for n in range(len(part))]
    both, either = np.zeros(3, int), np.zeros(3, int)
    for truth, answer in zip(truths, answers, strict=True):
        for k in range(3):
            both[k] += ((truth == k) & (answer.classes == k)).sum()
            either[k] += ((truth == k) | (answer.classes == k)).sum()
    ious = [hits / total if total else None for hits, total in zip(both.tolist(), either.tolist(), strict=True)]
    assert [iou for _, _, iou, _ in found.classes] == ious


def test_evaluate_measures_the_boxes_that_a_detector_finds(tmp_path: Path) -> None:
    found, answers, parts = measured(tmp_path, "detect", "COCO")
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    results, number = [], 0
    for part in parts:
        own = truth_of(part, NAMES)
        truth["categories"] = own["categories"]
        for image in own["images"]:
            moved = [one for one in own["annotations"] if one["image_id"] == image["id"]]
            start = len(truth["annotations"])
            truth["annotations"] += [{**one, "id": start + n + 1, "image_id": number} for n, one in enumerate(moved)]
            truth["images"].append({**image, "id": number})
            width, height = answers[number].size
            results += to_results(answers[number].detections, number, height, width)
            number += 1
    assert results
    expected = {name: None if value != value else value for name, value in twelve_figures(truth, results).items()}
    assert found.box == expected
