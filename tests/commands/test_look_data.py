"""The numbers beside what is drawn of reconstructions, objects, segments, windows and curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.untrained import NAMES, untrained
from vitrail.models.simmim import SimMIM
from vitrail.visualize.reconstruction import reconstruct
from vitrail.visualize.simmim_reconstruction import fill_in
from vitrail.weights.checkpoint import open_checkpoint


def photos(folder: Path, sizes: tuple[tuple[int, int], ...] = ((32, 32), (32, 32))) -> list[Path]:
    folder.mkdir()
    for number, (width, height) in enumerate(sizes):
        pixels = np.random.default_rng(number + 3).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def looked(model: Path, files: list[Path], out: Path, **options: Any) -> Path:
    vitrail.look(model, files, out=out, **options)
    return out


@pytest.mark.parametrize("model", ["mae_vit_ti16", "simmim_swin_t"])
def test_reconstructions_are_kept_as_pixels_with_their_masks_and_errors(model: str, tmp_path: Path) -> None:
    checkpoint, files = untrained(tmp_path / "model", model=model), photos(tmp_path / "photos")
    found = np.load(looked(checkpoint, files, tmp_path / "look", mask_ratio=(0.5, 0.75)) / "reconstruction.npz")
    network: Any = open_checkpoint(checkpoint)[0]
    mean, std = (np.array(part).reshape(3, 1, 1) for part in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    opened = vitrail.open_model(checkpoint)
    images = torch.stack([opened.preprocess(file) for file in files])
    pixels = images.numpy() * std + mean
    np.testing.assert_allclose(found["image"], pixels, atol=1e-5)
    assert found["mask"].shape[:2] == found["error"].shape == (2, 2)
    for way in range(2):
        mask = torch.from_numpy(found["mask"][way])
        if isinstance(network, SimMIM):
            predicted, _, gone = fill_in(network, images, mask)
            hidden = gone[:, 0]
        else:
            made = reconstruct(network, images, mask)
            predicted, hidden = made.predicted, made.hidden
        np.testing.assert_allclose(found["predicted"][way], predicted.numpy() * std + mean, atol=1e-4)
        for number in range(2):
            difference = found["predicted"][way, number] - pixels[number]
            places = hidden[number].numpy()
            expected = sum(float((plane[places] ** 2).sum()) for plane in difference) / (3 * int(places.sum()))
            assert float(found["error"][way, number]) == pytest.approx(expected, rel=1e-3)
    assert [text.split(" %")[0] for text in found["way"].tolist()] == ["50.0", "75.0"]


def test_objects_are_those_that_are_predicted(tmp_path: Path) -> None:
    checkpoint, files = untrained(tmp_path / "model", task="detect"), photos(tmp_path / "photos", ((40, 32), (32, 48)))
    found = json.loads((looked(checkpoint, files, tmp_path / "look") / "objects.json").read_text())
    assert [one["file"] for one in found["images"]] == ["0.png", "1.png"]
    assert [one["size"] for one in found["images"]] == [[40, 32], [32, 48]]
    assert found["drawn_from"] == 0.5
    listed = [one for image in found["images"] for one in image["objects"]]
    assert listed
    assert all(one["class"] in NAMES and 0 <= one["score"] <= 1 and len(one["box"]) == 4 for one in listed)
    model = vitrail.open_model(checkpoint)
    for file, image in zip(files, found["images"], strict=True):
        sure = {round(one["score"], 4) for one in model.predict(file).to_dict()["objects"]}
        assert sure <= {round(one["score"], 4) for one in image["objects"]}


def test_where_a_detector_looks_for_its_surest_objects_is_kept(tmp_path: Path) -> None:
    checkpoint, files = untrained(tmp_path / "model", task="detect"), photos(tmp_path / "photos", ((40, 32), (32, 48)))
    out = looked(checkpoint, files, tmp_path / "look")
    looks, found = np.load(out / "attention.npz"), json.loads((out / "objects.json").read_text())["images"]
    for number, one in enumerate(found):
        surest = [thing["score"] for thing in one["objects"][:3]]
        assert looks[f"scores_{number}"].tolist() == pytest.approx(surest, abs=1e-4)
        assert [NAMES[k] for k in looks[f"classes_{number}"]] == [thing["class"] for thing in one["objects"][:3]]
        assert looks[f"multiples_{number}"].shape == (len(surest), *((32, 40) if number == 0 else (48, 32)))


def test_segments_are_the_classes_that_are_predicted_at_the_images_own_size(tmp_path: Path) -> None:
    checkpoint, files = untrained(tmp_path / "model", task="segment"), photos(tmp_path / "photos", ((40, 32), (32, 48)))
    found = np.load(looked(checkpoint, files, tmp_path / "look") / "segments.npz")
    assert found["class_names"].tolist() == list(NAMES)
    model = vitrail.open_model(checkpoint)
    for number, file in enumerate(files):
        assert np.array_equal(found[f"classes_{number}"], np.array(model.predict(file).classes))
    assert "truth_0" not in found


def test_windows_are_listed_stage_by_stage(tmp_path: Path) -> None:
    checkpoint = untrained(tmp_path / "model", model="swin_t")
    out = looked(checkpoint, photos(tmp_path / "photos"), tmp_path / "look")
    stages = json.loads((out / "windows.json").read_text())["stages"]
    assert [(one["tokens"], one["window"], one["windows"], one["shift"]) for one in stages] == [
        ([8, 8], [4, 4], 4, [2, 2]),
        ([4, 4], [4, 4], 1, [0, 0]),
    ]
    regions = np.array(stages[0]["regions_after_the_shift"])
    expected = [[int(x >= 6) + 2 * int(y >= 6) for x in range(8)] for y in range(8)]
    assert len({(one, other) for one, other in zip(regions.flatten(), np.array(expected).flatten(), strict=True)}) == 4


def test_the_curves_of_a_run_are_its_measurements(classifier: Path, tmp_path: Path) -> None:
    vitrail.look(classifier, out=tmp_path / "look", count=2)
    rows = json.loads((tmp_path / "look" / "curves.json").read_text())["rows"]
    assert rows == [json.loads(line) for line in (classifier / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("task", "model", "said"),
    [
        ("classify", "vit_ti16", "centre of 32x32 pixels of 36x36, bicubic, normalization imagenet."),
        ("detect", "vit_ti16", "shorter side scaled to 32 pixels, the longer one to at most 2048, normalization imag"),
        ("segment", "vit_ti16", "Images are shown whole, their shorter side scaled to 32 pixels, normalization imag"),
    ],
)
def test_the_page_says_how_images_were_prepared(task: str, model: str, said: str, tmp_path: Path) -> None:
    checkpoint = untrained(tmp_path / "model", task=task, model=model)
    page = (looked(checkpoint, photos(tmp_path / "photos"), tmp_path / "look") / "look.html").read_text()
    assert said in page
