"""The line of segmentation on drawn scenes and small folders: train, resume, evaluate, predict, look."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import vitrail
from tests.commands.untrained import untrained
from tests.support.forks import finish, finish_together
from vitrail.cli import main
from vitrail.data.images import open_indices
from vitrail.errors import ConfigError, DataError
from vitrail.settings import Scoring
from vitrail.training.checkpoint import resolve

SWIN = {"embed_width": 32, "depths": (1, 1, 1, 1), "window": 4}
DENSE = {"width": 32, "jitter": "crop"}
QUICK = {"task": "segment", "model": "swin_t", "architecture": SWIN, "image_size": 32, "batch_size": 4}
NAMES = ("sky", "road", "car")
VALUES = np.array([0, 2, 3], np.uint8)  # 1 means void


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Odd sizes, portrait and landscape; one image that is all void, and one with a car of one pixel."""
    root = tmp_path_factory.mktemp("streets")
    random = np.random.RandomState(0)
    sizes = {"train": [(33, 50), (50, 33), (41, 41), (20, 70), (64, 31)], "val": [(37, 53), (53, 29), (1, 40)]}
    for split, shapes in sizes.items():
        for folder in ("images", "masks"):
            (root / folder / split).mkdir(parents=True)
        for number, (height, width) in enumerate(shapes):
            classes = np.zeros((height, width), np.uint8)
            classes[height // 2 :] = 1
            classes[height // 2, width // 3] = 2
            image = random.randint(0, 30, (height, width, 3)) + 80 * classes[..., None]
            mask = VALUES[classes]
            if number == 0:
                mask[:] = 1
            mask[:2] = 255
            Image.fromarray(image.astype(np.uint8)).save(root / "images" / split / f"{number}.png")
            saved = Image.fromarray(mask)
            saved.putpalette([n % 256 for n in range(768)])
            saved.save(root / "masks" / split / f"{number}.png")
    (root / "classes.txt").write_text("\n".join(NAMES))
    return root


@pytest.fixture(scope="session")
def segmenter(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "segmenter"
    settings = {**QUICK, "epochs": 6, "lr": 3e-3, "dense": {**DENSE, "ignore": 1}}
    return vitrail.train(str(streets), out=str(out), **settings).folder


def test_the_run_folder_holds_images_of_segments_and_maps(segmenter: Path) -> None:
    for name in ("segments", "maps", "curves"):
        assert (segmenter / "figures" / f"{name}.png").is_file()
    assert "What the model says" in (segmenter / "report.html").read_text()
    _, description = vitrail.open_checkpoint(segmenter)
    assert (description.task, description.class_names) == ("segment", NAMES)
    assert not description.is_classifier


def test_figures_are_the_same_while_training_afterwards_and_whatever_the_batch(segmenter: Path, streets: Path) -> None:
    best = json.loads((segmenter / "summary.json").read_text())["best"]
    found = vitrail.evaluate(str(segmenter), str(streets), split="validation")
    assert found.mean_iou == pytest.approx(best["mean_iou"], abs=1e-3)
    assert found.pixel_accuracy == pytest.approx(best["pixel_accuracy"], abs=1e-3)
    assert found.images == 3
    truth = [VALUES.tolist().index(v) for f in (streets / "masks" / "val").iterdir() for v in _counted(f)]
    assert [pixels for _, pixels, _, _ in found.classes] == np.bincount(truth, minlength=3).tolist()


def _counted(file: Path) -> list[int]:
    values = open_indices(file)
    return values[(values != 1) & (values != 255)].tolist()


def test_predicting_only_damaged_images_is_a_mistake(
    segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    assert main(["predict", str(segmenter), str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]) == 2
    assert "a.png cannot be read as an image" in capsys.readouterr().err


def test_predictions_have_the_images_size_and_the_values_of_the_masks(
    segmenter: Path, streets: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    files = [str(streets / "images" / "val"), str(tmp_path / "broken.png")]
    *good, bad = vitrail.predict(str(segmenter), files, out=str(tmp_path / "out"))
    assert bad.error
    found = vitrail.evaluate(str(segmenter), str(streets), split="validation")
    right = total = 0
    for prediction in good:
        image = Image.open(prediction.file)
        assert Image.open(prediction.overlay).size == image.size
        assert Image.open(prediction.mask).mode == "P"
        values = open_indices(prediction.mask)
        assert values.shape == image.size[::-1]
        assert set(np.unique(values)) <= set(VALUES.tolist())
        assert sum(share for _, share in prediction.classes) == pytest.approx(1)
        truth = open_indices(streets / "masks" / "val" / Path(prediction.file).name)
        counted = (truth != 1) & (truth != 255)
        right, total = right + (values == truth)[counted].sum(), total + counted.sum()
    assert right / total == pytest.approx(found.pixel_accuracy, abs=1e-9)


def test_parts_scales_and_mirrors_are_told_on_the_command_line(
    segmenter: Path, streets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(segmenter), str(streets), "--json", "--scoring.window", "24", "--scoring.scales", "0.5", "1.25"]
    assert main(["evaluate", *words, "--scoring.flip"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert 0 <= printed["mean_iou"] <= 1
    assert [name for name, *_ in printed["classes"]] == list(NAMES)


def test_looking_at_named_images_needs_no_masks(segmenter: Path, streets: Path, tmp_path: Path) -> None:
    written = vitrail.look(str(segmenter), [str(streets / "images" / "val")], out=str(tmp_path), count=2)
    assert {"segments.png", "maps.png"} <= {path.name for path in written}


def test_an_interrupted_run_goes_on_as_if_it_had_never_stopped(streets: Path, tmp_path: Path) -> None:
    settings = {
        **QUICK,
        "dense": {"jitter": "crop", "head": "linear", "ignore": 1},
        "schedule": {"kind": "constant", "warmup_epochs": 0},
    }
    whole = vitrail.train(str(streets), out=str(tmp_path / "whole"), epochs=4, **settings).folder
    part = tmp_path / "part"
    vitrail.train(str(streets), out=str(part), epochs=2, **settings)
    kept = json.loads((part / "config.json").read_text())
    (part / "config.json").write_text(json.dumps({**kept, "epochs": 4}))
    (part / "summary.json").unlink()
    vitrail.train(str(streets), out=str(part), epochs=4, **settings)
    one, two = (load_file(resolve(folder, "last") / "model.safetensors") for folder in (whole, part))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_evaluation_over_two_processes_gives_the_figures_of_one(segmenter: Path, streets: Path) -> None:
    words = ["evaluate", str(segmenter), str(streets), "--json", "--precision", "fp32"]
    one, two = (json.loads(said) for said in (finish(words), finish_together(2, words)))
    losses = [figures.pop("loss") for figures in (one, two)]
    assert one == two
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


@pytest.mark.parametrize("head", ["setr_pup", "linear"])
def test_a_vit_is_trained_from_weights_under_other_heads(head: str, tmp_path: Path) -> None:
    start = untrained(tmp_path / "start", width=32)
    settings = {"task": "segment", "weights": str(start), "image_size": 32, "epochs": 0.002, "batch_size": 4}
    dense = {"jitter": "crop", "head": head}
    folder = vitrail.train("scenes:32", out=str(tmp_path / head), dense=dense, **settings).folder
    model, _ = vitrail.open_checkpoint(folder)
    assert model(torch.zeros(1, 3, 32, 48)).shape == (1, 5, 32, 48)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"dense": {**DENSE, "head": "mask_rcnn", "ignore": 1}}, ConfigError, "head must be one of auto, upernet"),
        ({"dense": {"jitter": "large", "ignore": 1}}, ConfigError, "dense.jitter"),
        ({"dense": {**DENSE, "ignore": 300}}, DataError, "within 0 to 255"),
        ({"labels": 0.5}, ConfigError, "labels is a setting of --task classify"),
        ({"augment": {"mixup": 0.5}, "dense": {**DENSE, "ignore": 1}}, ConfigError, "mixup"),
    ],
)
def test_what_cannot_work_is_answered_in_one_sentence(
    changes: dict[str, Any], error: type[Exception], message: str, streets: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        vitrail.train(str(streets), out=str(tmp_path / "run"), **{**QUICK, "epochs": 1, **changes})


def test_the_doctor_counts_images_of_each_class_and_names_masks_of_no_use(streets: Path) -> None:
    found = vitrail.doctor(str(streets), ignore=1)["data"]
    assert found["classes"]["sky"] == {"train": 4, "validation": 1}
    assert len(found["damaged"]) == 3
    assert all("void all over" in problem for problem in found["damaged"])


def test_other_classes_than_the_models_are_named(segmenter: Path, streets: Path, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).symlink_to(streets / folder)
    (tmp_path / "classes.txt").write_text("sky\nriver\ncar\n")
    with pytest.raises(DataError, match="other classes than the model knows: sky, road, car"):
        vitrail.evaluate(str(segmenter), str(tmp_path))


def test_two_processes_learn_the_weights_of_one(streets: Path, tmp_path: Path) -> None:
    shape = "--architecture.embed-width 32 --architecture.depths 1 1 1 1 --architecture.window 4"
    settings = "--image-size 32 --batch-size 4 --epochs 2 --run.precision fp32 --dense.ignore 1"
    words = f"train {streets} --task segment --model swin_t {shape} {settings}".split()
    finish([*words, "--run.micro-batch", "2", "--out", str(tmp_path / "one")])
    finish_together(2, [*words, "--out", str(tmp_path / "two")])
    one, two = (load_file(resolve(tmp_path / name, "last") / "model.safetensors") for name in ("one", "two"))
    assert all(one[name].equal(two[name]) for name in one)


def test_a_large_image_is_scored_by_sliding_window_everywhere_and_it_is_said(
    segmenter: Path, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitrail.heads.sliding_window.LARGEST_WHOLE", 50 * 50)
    monkeypatch.setattr("vitrail.heads.sliding_window.USUAL_WINDOW", 40)
    large = tmp_path / "large.png"
    Image.fromarray(np.random.RandomState(5).randint(0, 255, (40, 200, 3)).astype(np.uint8)).save(large)
    (found,) = vitrail.predict(str(segmenter), [large], out=str(tmp_path / "a"))
    assert found.window == (40, 40)
    (asked,) = vitrail.predict(str(segmenter), [large], out=str(tmp_path / "b"), scoring=Scoring(window=40))
    assert asked.window is None
    assert np.array_equal(open_indices(found.mask), open_indices(asked.mask))
    capsys.readouterr()
    for verb in ("predict", "look"):
        assert main([verb, str(segmenter), str(large), "--out", str(tmp_path / verb)]) == 0
        assert "1 large image was scored by a sliding window of 40 x 40 pixels" in capsys.readouterr().out
    monkeypatch.setattr("vitrail.heads.sliding_window.LARGEST_WHOLE", 1000)
    monkeypatch.setattr("vitrail.heads.sliding_window.USUAL_WINDOW", 33)
    said = vitrail.evaluate(str(segmenter), str(streets), split="validation")
    assert "2 large images were scored by a sliding window" in said.notes[0]
