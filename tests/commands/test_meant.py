"""Options that mean nothing to a task are refused in a sentence, and none is passed over."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import vitrail
from tests.commands.untrained import untrained
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
from vitrail.tasks.asked import answer_settings, check_own
from vitrail.tasks.detection.settings import DetectionOptions, DetectSettings
from vitrail.tasks.registry import TASKS
from vitrail.tasks.segmentation.settings import SegmentationOptions, SegmentPredictSettings


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


OF_ANSWERS = [
    (EvaluateSettings, "classify", {"scoring": Scoring(flip=True)}, "a segmenter"),
    (EvaluateSettings, "detect", {"scoring": Scoring(scales=(0.5,))}, "a segmenter"),
    (EvaluateSettings, "segment", {"batch_size": 2}, "a classifier or a detector"),
    (PredictSettings, "classify", {"threshold": 0.2}, "a detector"),
    (PredictSettings, "classify", {"scoring": {"flip": True}}, "a segmenter"),
    (PredictSettings, "detect", {"scoring": Scoring(window=8)}, "a segmenter"),
    (PredictSettings, "detect", {"top": 1}, "a classifier or a segmenter"),
    (PredictSettings, "detect", {"batch_size": 2}, "a classifier"),
    (PredictSettings, "segment", {"threshold": 0.2}, "a detector"),
    (PredictSettings, "segment", {"batch_size": 2}, "a classifier"),
]
NEEDED: dict[type, dict[str, Any]] = {
    EvaluateSettings: {"checkpoint": "c", "data": "d"},
    PredictSettings: {"checkpoint": "c", "images": ("p",)},
}


@pytest.mark.parametrize(("kind", "task", "changes", "owner"), OF_ANSWERS)
def test_evaluate_and_predict_refuse_an_option_of_another_task_and_name_its_owner(
    kind: type, task: str, changes: dict[str, Any], owner: str
) -> None:
    spec = TASKS[task]
    assert type(answer_settings(kind, spec, **NEEDED[kind])) in spec.answers
    with pytest.raises(ConfigError, match=f"is a setting of {owner}, and means nothing to {spec.noun}"):
        answer_settings(kind, spec, **NEEDED[kind], **changes)


@pytest.mark.parametrize(("kind", "task", "changes", "owner"), OF_ANSWERS)
def test_the_command_line_refuses_an_option_of_another_task_than_its_model_is_of(
    tmp_path: Path, kind: type, task: str, changes: dict[str, Any], owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = untrained(tmp_path / "run", task)
    (name,) = changes
    option = "--scoring.overlap" if name == "scoring" else f"--{name.replace('_', '-')}"
    command = "predict" if kind is PredictSettings else "evaluate"
    assert main([command, str(run), "x", option, "0.1"]) == 2
    said = capsys.readouterr().err
    assert f"has no option '{option}' for {TASKS[task].noun}; it belongs to {owner}" in said


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_help_beside_a_model_shows_what_it_can_be_told_and_without_one_whose_each_option_is(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, str(untrained(tmp_path / "run", "detect")), "--help"])
    own = capsys.readouterr().out
    assert "--scoring" not in own
    assert ("--threshold" if command == "predict" else "--batch-size") in own
    with pytest.raises(SystemExit):
        main([command, "--help"])
    _, *parts = capsys.readouterr().out.split("\nof ")
    assert [part.partition(":")[0] for part in parts] == ["a classifier", "a detector", "a segmenter"]
    assert ["--scoring.flip" in part for part in parts] == [False, False, True]


def test_settings_of_another_task_are_refused_even_as_a_whole(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run", "detect")
    settings = SegmentPredictSettings(checkpoint=str(run), images=("x.png",))
    with pytest.raises(ConfigError, match="a detector needs DetectPredictSettings"):
        check_own(settings, PredictSettings, TASKS["detect"])


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
