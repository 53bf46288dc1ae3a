"""The line of detection on a small folder in COCO's format: train, resume, evaluate, predict, look, doctor."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

import vitrail
from tests.support.forks import finish_together
from vitrail.cli import main
from vitrail.data.rle import decode, encode
from vitrail.data.scenes import SHAPES, Scene
from vitrail.errors import ConfigError, DataError
from vitrail.heads.dense import dense_options
from vitrail.heads.names import build_model
from vitrail.heads.registry import put_head
from vitrail.settings import Dense, Scoring
from vitrail.tasks.backbone_weights import load_backbone
from vitrail.training import checkpoint
from vitrail.weights.weights_file import open_weights

SWIN = {"embed_width": 32, "depths": (1, 1, 1, 1), "window": 4}
DENSE = {"width": 32, "hidden": 32, "anchor_size": 4.0, "proposals": 40, "regions": 16, "jitter_scale": (0.8, 1.2)}
QUICK: dict[str, Any] = {
    "task": "detect",
    "model": "swin_t",
    "architecture": SWIN,
    "dense": DENSE,
    "image_size": 40,
    "batch_size": 2,
    "epochs": 2,
    "run": {"keep": 9},
}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes of odd sizes, portrait and landscape: one without objects, one with a crowd, one mask of one pixel."""
    root = tmp_path_factory.mktemp("shapes")
    (root / "annotations").mkdir()
    for split, sizes in {
        "train": [(50, 41), (41, 63), (70, 44), (45, 45)],
        "val": [(39, 57), (57, 39), (44, 80)],
    }.items():
        (root / "images" / split).mkdir(parents=True)
        images, annotations = [], []
        for number, size in enumerate(sizes):
            scene = Scene(len(split), number, size)
            scene.image().save(root / "images" / split / f"{number}.png")
            images.append({"id": 10 * number + 3, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
            for one in scene.truth() if number != 1 else []:
                annotations.append({**one, "category_id": 5 * one["class"] + 1, "image_id": 10 * number + 3})
        crowd = np.zeros(sizes[0][::-1], dtype=bool)
        crowd[-9:, -9:] = True
        point = np.zeros(sizes[-1][::-1], dtype=bool)
        point[0, 0] = True
        last = images[-1]["id"]
        annotations += [
            {
                "image_id": 3,
                "category_id": 1,
                "bbox": [0, 0, 9, 9],
                "segmentation": encode(crowd),
                "iscrowd": 1,
                "area": 81,
            },
            {
                "image_id": last,
                "category_id": 1,
                "bbox": [0, 0, 1, 1],
                "segmentation": encode(point),
                "iscrowd": 0,
                "area": 1,
            },
        ]
        content = {
            "images": images,
            "annotations": [{**one, "id": number + 1} for number, one in enumerate(annotations)],
            "categories": [{"id": 5 * k + 1, "name": name} for k, name in enumerate(SHAPES)],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="session")
def detector(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vitrail.train(str(shapes), out=str(tmp_path_factory.mktemp("runs") / "detector"), **QUICK).folder


def test_a_run_folder_holds_images_and_a_report(detector: Path) -> None:
    drawn = {path.stem for path in (detector / "figures").glob("*.png")}
    # What it looks at is drawn where it finds something.
    assert drawn - {"attention"} == {"curves", "objects", "pyramid", "anchors"}
    assert "mask_rcnn" in (detector / "report.html").read_text()
    rows = [json.loads(line) for line in (detector / "metrics.jsonl").read_text().splitlines()]
    assert "validation/box_ap" in rows[-1]
    assert "validation/mask_ap50" in rows[-1]


def test_the_anchors_that_learn_each_object_are_kept_as_numbers(detector: Path, tmp_path: Path) -> None:
    vitrail.look(str(detector), out=str(tmp_path), count=2)
    images = json.loads((tmp_path / "anchors.json").read_text())["images"]
    assert images
    for one in images:
        assert 0 < len(one["anchors"]) == len(one["strides"]) <= one["of_anchors"]
        for box in one["objects"]:  # each has at least one, however badly it fits
            assert max(_iou(box, anchor) for anchor in one["anchors"]) > 0


def _iou(one: list[float], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    area, beside = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (area + beside - both)


def test_going_on_from_a_checkpoint_ends_with_the_same_weights(detector: Path, shapes: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(detector, copy, symlinks=True)
    folder = copy / "checkpoints"
    last = checkpoint.pointed(folder, "last")
    assert last is not None
    first, *_ = sorted(path for path in folder.glob("step_*") if path.is_dir())
    assert first != last
    shutil.rmtree(folder / last.name)
    checkpoint.point(folder, "last", int(first.name.removeprefix("step_")))
    vitrail.train(str(shapes), out=str(copy), **QUICK)
    ours, theirs = (load_file(checkpoint.resolve(run, "last") / "model.safetensors") for run in (copy, detector))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_two_processes_measure_exactly_what_one_does(detector: Path, shapes: Path) -> None:
    words = ["evaluate", str(detector), str(shapes), "--json", "--workers", "0", "--precision", "fp32"]
    said = [json.loads(finish_together(world, words)) for world in (1, 2)]
    assert said[0] == said[1]
    assert said[0]["images"] == 3
    assert set(said[0]["box"]) == set(said[0]["mask"])


def test_predicting_only_damaged_images_is_a_mistake(
    detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    assert main(["predict", str(detector), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 2
    assert "a.png cannot be read as an image" in capsys.readouterr().err


def test_predictions_are_drawn_and_written_as_coco(detector: Path, shapes: Path, tmp_path: Path) -> None:
    images = sorted((shapes / "images" / "val").glob("*.png"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    found = vitrail.predict(str(detector), [*images, broken], threshold=0.0, out=str(tmp_path / "out"))
    assert found[-1].error
    written = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert len(written["images"]) == len(images)
    assert [one["id"] for one in written["categories"]] == [1, 6, 11, 16], "the data set's own ids"
    assert {one["category_id"] for one in written["annotations"]} <= {1, 6, 11, 16}
    assert len(written["annotations"]) == sum(len(one.objects) for one in found)
    for one in found[:-1]:
        with Image.open(one.drawn) as drawn, Image.open(one.file) as image:
            assert drawn.size == image.size
        for thing in one.objects:
            assert thing["class"] in SHAPES
            width, height = one.size
            assert decode(thing["segmentation"], height, width).shape == (height, width)


def test_images_of_one_name_are_drawn_apart_and_none_is_drawn_over(
    detector: Path, shapes: Path, tmp_path: Path
) -> None:
    shutil.copy(shapes / "images" / "train" / "0.png", tmp_path / "0.png")
    before = (tmp_path / "0.png").read_bytes()
    images = [tmp_path / "0.png", shapes / "images" / "val" / "0.png", shapes / "images" / "train" / "0.png"]
    found = vitrail.predict(str(detector), images, out=str(tmp_path))
    assert [Path(one.drawn).name for one in found] == ["0-2.png", "0-3.png", "0-4.png"]
    assert (tmp_path / "0.png").read_bytes() == before


def test_look_draws_named_images(detector: Path, shapes: Path, tmp_path: Path) -> None:
    written = vitrail.look(str(detector), [str(shapes / "images" / "val" / "0.png")], out=str(tmp_path))
    assert {"objects", "pyramid"} <= {path.stem for path in written}


def test_the_backbone_of_a_run_and_a_whole_detector_can_be_started_from(
    detector: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vitrail.train(str(shapes), out=str(tmp_path / "next"), weights=str(detector), **{**QUICK, "epochs": 1})
    count, of = capsys.readouterr().out.split("head: loaded ")[1].split(" tensors")[0].split(" of ")
    assert count == of


def test_a_segmenter_starts_from_the_backbone_inside_a_detector(detector: Path) -> None:
    backbone: Any = build_model("swin_t", num_classes=0, image_size=40, **SWIN)
    segmenter: Any = put_head(backbone, "upernet", dense_options(Dense(width=32), 3))
    said = load_backbone(segmenter, open_weights(detector))
    assert "head: loaded 0 of" in said
    theirs = load_file(checkpoint.resolve(detector, "best") / "model.safetensors")
    for name, tensor in segmenter.backbone.state_dict().items():
        assert tensor.equal(theirs[f"pyramid.backbone.{name}"]), name


def test_the_doctor_names_what_is_wrong_with_annotations(shapes: Path, tmp_path: Path) -> None:
    root = tmp_path / "ill"
    shutil.copytree(shapes, root)
    file = root / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"][2] = 500
    content["annotations"][1]["category_id"] = 999
    content["images"][2]["width"] += 1
    file.write_text(json.dumps(content))
    mistakes = vitrail.doctor(str(root))["data"]["mistakes"]
    assert any("leaves its image" in one for one in mistakes)
    assert any("category 999" in one for one in mistakes)
    assert any("annotations say 45 x 80" in one or "its annotations say" in one for one in mistakes)
    assert not vitrail.doctor(str(shapes))["data"]["mistakes"]


def test_the_doctor_finds_an_image_that_is_in_two_splits(shapes: Path, tmp_path: Path) -> None:
    root = tmp_path / "twice"
    shutil.copytree(shapes, root)
    file = root / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    shutil.copy(root / "images" / "train" / "2.png", root / "images" / "val" / "again.png")
    content["images"].append({"id": 77, "file_name": "again.png", "width": 70, "height": 44})
    file.write_text(json.dumps(content))
    assert vitrail.doctor(str(root))["data"]["duplicates"] == [("train: 2.png", "validation: again.png")]


def test_the_doctor_knows_drawn_scenes() -> None:
    found = vitrail.doctor("scenes:32")["data"]
    assert found["images"]["train"] == 2000
    assert not found["damaged"]


def test_mistakes_are_one_sentence(detector: Path, shapes: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(shapes, other)
    for file in (other / "annotations").glob("*.json"):
        file.write_text(file.read_text().replace('"ring"', '"wheel"'))
    with pytest.raises(DataError, match="other classes"):
        vitrail.evaluate(str(detector), str(other))
    with pytest.raises(ConfigError, match="scoring is a setting of a segmenter"):
        vitrail.evaluate(str(detector), str(shapes), scoring=Scoring(flip=True))
    with pytest.raises(ConfigError, match=r"dense\.head must be one of auto, mask_rcnn"):
        vitrail.train(str(shapes), out=str(tmp_path / "a"), **{**QUICK, "dense": {"head": "upernet"}})
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="instances_train"):
        vitrail.train(str(tmp_path / "empty"), out=str(tmp_path / "b"), **QUICK)
