"""Options that mean nothing to a task are refused in a sentence, and none is passed over."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import vitrail
from vitrail.cli import main
from vitrail.config import Augment, JointAugment, names_of, replace
from vitrail.data.cuts import RandomCut
from vitrail.data.joint import JointTransform
from vitrail.data.objects import ObjectImages, ObjectSamples
from vitrail.data.scenes import open_scenes
from vitrail.data.segment_folders import open_segments
from vitrail.data.segments import SegmentImages, SegmentSamples
from vitrail.errors import ConfigError
from vitrail.settings import Architecture, Dense, EvaluateSettings, PredictSettings, Scoring
from vitrail.tasks.detection.settings import DetectionOptions, DetectSettings
from vitrail.tasks.meant import check_evaluation, check_prediction
from vitrail.tasks.registry import TASKS
from vitrail.tasks.segmentation.settings import SegmentationOptions


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize(
    "changes",
    [
        {"tune_blocks": 1.0},
        {"cache_features": "on"},
        {"labels": 0.5},
        {"loader": {"balanced": True}},
        {"augment": {"crop": "none"}},
        {"augment": {"mixup": 0.3}},
        {"augment": Augment(mixup=0.3)},
        {"augment": {"rand_augment": 3}},
        {"architecture": {"representation": 64}},
        {"architecture": Architecture(head_init="zero")},
    ],
)
def test_what_is_for_whole_images_is_refused_by_dense_tasks(task: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))) as error:
        vitrail.train("scenes:32", task=task, **changes)
    assert "\n" not in str(error.value)


def test_a_larger_class_of_settings_is_taken_where_what_is_more_is_at_its_default() -> None:
    changed = replace(DetectSettings(data="x"), augment=Augment(flip=0.3))
    assert type(changed.augment) is JointAugment
    assert changed.augment.flip == 0.3


def test_the_settings_of_a_task_hold_no_option_of_another() -> None:
    own = {name: set(names_of(spec.settings)) for name, spec in TASKS.items()}
    assert not {"dense.head", "smoothing", "labels", "augment.mixup"} & own["mae"]
    assert "dense.ignore" in own["segment"] - own["detect"]
    assert "dense.queries" in own["detect"] - own["segment"]
    assert "mask_unit" in own["simmim"] - own["mae"] - own["mpp"]


def test_what_a_head_is_told_is_what_its_task_can_be_told() -> None:
    known = {field.name: field.default for field in dataclasses.fields(Dense)}
    for kind in (DetectionOptions, SegmentationOptions):
        for field in dataclasses.fields(kind):
            assert field.name in known
            assert field.name in ("jitter",) or field.default == known[field.name], field.name
    told = {field.name for kind in (DetectionOptions, SegmentationOptions) for field in dataclasses.fields(kind)}
    assert told == set(known)


def test_a_refused_option_leaves_no_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "scenes:32", "--task", "detect", "--smoothing", "0.4", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert "--smoothing" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("classify", {"scoring": Scoring(flip=True)}),
        ("detect", {"scoring": Scoring(scales=(0.5,))}),
        ("segment", {"batch_size": 2}),
    ],
)
def test_evaluate_refuses_what_means_nothing(task: str, changes: dict[str, Any]) -> None:
    plain = EvaluateSettings(checkpoint="c", data="d")
    check_evaluation(plain, task)
    with pytest.raises(ConfigError):
        check_evaluation(replace(plain, **changes), task)


@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("detect", {"scoring": Scoring(window=8)}),
        ("detect", {"top": 1}),
        ("detect", {"batch_size": 2}),
        ("segment", {"threshold": 0.2}),
        ("segment", {"batch_size": 2}),
    ],
)
def test_predict_refuses_what_means_nothing(task: str, changes: dict[str, Any]) -> None:
    plain = PredictSettings(checkpoint="c", images=("p",))
    check_prediction(plain, task)
    with pytest.raises(ConfigError):
        check_prediction(replace(plain, **changes), task)


def test_a_dense_tour_refuses_labels_and_pretraining() -> None:
    with pytest.raises(ConfigError, match="labels is for the tour of a classifier"):
        vitrail.tour("scenes", task="detect", labels=9)
    with pytest.raises(ConfigError, match="pretrain"):
        vitrail.tour("scenes", task="segment", pretrain_epochs=9)


def test_fixed_views_of_images_with_objects_and_of_images_with_segments_come_back() -> None:
    objects, segments = open_scenes("scenes:32").train, open_segments("scenes:32").train
    assert isinstance(objects, ObjectImages)
    assert isinstance(segments, SegmentImages)
    jitter = JointTransform(32, jitter="crop", scale=(0.5, 2.0), flip=0.5)
    cut = RandomCut((24, 24), (0.5, 2.0))
    for views in (2, 0):
        for samples in (
            ObjectSamples(objects, jitter, 5, cache="off", views=views),
            SegmentSamples(segments, cut, 5, cache="off", views=views),
        ):
            first, second, third = (samples[epoch, 3]["image"] for epoch in range(3))
            assert not (first.shape == second.shape and torch.equal(first, second))
            assert (first.shape == third.shape and torch.equal(first, third)) == bool(views)
