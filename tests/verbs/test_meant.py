"""Options that mean nothing to a task are refused in a sentence, and none is passed over."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

import vitrail
from vitrail.cli import main
from vitrail.config import replace
from vitrail.data.cuts import RandomCut
from vitrail.data.joint import JointTransform
from vitrail.data.objects import ObjectPictures, ObjectSamples
from vitrail.data.scenes import open_scenes
from vitrail.data.segment_folders import open_segments
from vitrail.data.segments import SegmentPictures, SegmentSamples
from vitrail.errors import ConfigError
from vitrail.settings import Dense, EvaluateSettings, PredictSettings, Scoring, TrainSettings
from vitrail.tasks.meant import check_evaluation, check_prediction, check_training
from vitrail.tasks.recipes import RECIPES

OTHER: dict[str, Any] = {
    "pyramid": "blocks",
    "norm": "batch",
    "box_head": "conv",
    "jitter": "none",
    "jitter_scale": (0.3, 3.0),
    "dropout": 0.5,
    "short_side": 99,
    "classes": "names.txt",
}


def changed(dense: str) -> dict[str, Any]:
    """Return another value than the default of a field of `Dense`."""
    return {dense: OTHER[dense] if dense in OTHER else getattr(Dense(), dense) + 1}


MEANT = {
    "mask_rcnn": "pyramid width hidden norm box_head anchor_size proposals regions samples windows jitter jitter_scale "
    "longest",
    "detr": "pyramid width hidden queries layers windows jitter jitter_scale longest",
    "upernet": "width norm jitter jitter_scale short_side ignore classes auxiliary dropout",
    "linear": "jitter jitter_scale short_side ignore classes dropout",
    "": "",
}
MEANT["cascade_mask_rcnn"] = MEANT["faster_rcnn"] = MEANT["mask_rcnn"]
# A DETR's and a segmenter's own messages about pyramid and windows say what to take instead.
TASK_OF = {"mask_rcnn": "detect", "faster_rcnn": "detect", "cascade_mask_rcnn": "detect", "detr": "detect"}


@pytest.mark.parametrize("head", MEANT)
@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Dense) if field.name != "head"])
def test_every_dense_option_is_taken_by_a_head_or_refused(head: str, name: str) -> None:
    task: Any = TASK_OF.get(head, "segment" if head else "classify")
    dense = {"head": head, **changed(name)} if head else changed(name)
    settings = replace(TrainSettings(data="x", task=task), dense=dense)
    if name in MEANT[head].split():
        check_training(settings)
    else:
        with pytest.raises(ConfigError, match=f"--dense.{name.replace('_', '-')} means nothing") as error:
            check_training(settings)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("task", ["detect", "segment"])
@pytest.mark.parametrize(
    "changes",
    [
        {"tune_blocks": 1.0},
        {"cache_features": "on"},
        {"loader": {"balanced": True}},
        {"augment": {"crop": "none"}},
        {"augment": {"crop_scale": (0.1, 0.2)}},
        {"augment": {"crop_ratio": (0.1, 0.2)}},
        {"augment": {"mixup": 0.3}},
        {"augment": {"cutmix": 0.3}},
        {"augment": {"rand_augment": 3}},
        {"augment": {"rand_augment_ops": 7}},
        {"augment": {"erasing": 0.3}},
        {"augment": {"mix_switch": 0.3}},
        {"augment": {"mix_probability": 0.3}},
        {"architecture": {"representation": 64}},
        {"architecture": {"head_init": "zero"}},
        {"dense": {"jitter": "none", "jitter_scale": (0.3, 3.0)}},
    ],
)
def test_what_is_for_whole_images_is_refused_by_dense_tasks(task: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"means nothing to a (detector|segmenter)"):
        check_training(replace(TrainSettings(data="x", task=task), **changes))


def test_smoothing_is_refused_by_a_detector_alone() -> None:
    with pytest.raises(ConfigError, match="--smoothing means nothing to a detector"):
        check_training(TrainSettings(data="x", task="detect", smoothing=0.3))
    check_training(TrainSettings(data="x", task="detect", smoothing=0.1))
    check_training(TrainSettings(data="x", task="segment", smoothing=0.3))


@pytest.mark.parametrize("name", RECIPES[TrainSettings])
def test_every_recipe_holds_what_means_something_to_its_task(name: str) -> None:
    check_training(replace(RECIPES[TrainSettings][name], data="x", recipe=name))


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
        ("detect", {"scoring": Scoring(part=8)}),
        ("detect", {"top": 1}),
        ("detect", {"batch_size": 2}),
        ("segment", {"threshold": 0.2}),
        ("segment", {"batch_size": 2}),
    ],
)
def test_predict_refuses_what_means_nothing(task: str, changes: dict[str, Any]) -> None:
    plain = PredictSettings(checkpoint="c", pictures=("p",))
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
    assert isinstance(objects, ObjectPictures)
    assert isinstance(segments, SegmentPictures)
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
