"""`look --counterfactual` and `--shortcuts`: regions filled in, and a classifier asked again."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.untrained import NAMES, untrained
from vitrail.errors import VitrailError
from vitrail.explain import regions
from vitrail.explain.cells import Cells

FAMILIES = ["vit_ti16", "swin_t", "bit_r50x1"]


def photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


def half_mask(folder: Path) -> str:
    """A mask that hides the right half."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:, 32:] = 255
    Image.fromarray(pixels).save(folder / "mask.png")
    return str(folder / "mask.png")


@pytest.mark.parametrize("model", FAMILIES)
def test_a_region_filled_by_the_mean_gets_the_probabilities_of_that_image(model: str, tmp_path: Path) -> None:
    checkpoint, folder = untrained(tmp_path / "model", model=model), photos(tmp_path / "photos")
    mask = half_mask(tmp_path)
    vitrail.look(checkpoint, folder, out=tmp_path / "look", counterfactual=("top-left", mask), fill="mean")
    found = json.loads((tmp_path / "look" / "counterfactuals.json").read_text())["found"]
    assert [one["region"] for one in found] == ["top-left"] * 3 + [mask] * 3
    opened = vitrail.open_model(checkpoint)
    for number, one in enumerate(found):
        image = opened.preprocess(folder / f"{number % 3:02}.png")
        filled = image.clone()
        place = (slice(0, 16), slice(0, 16)) if number < 3 else (slice(0, 32), slice(16, 32))
        for channel in range(3):
            filled[channel][place] = image[channel].mean()
        with torch.no_grad():
            before, after = opened.model(torch.stack([image, filled])).softmax(dim=1)
        label = int(before.argmax())
        assert one["class"] == NAMES[label]
        assert one["share_hidden"] == (0.25 if number < 3 else 0.5)
        assert one["probability_before"] == pytest.approx(float(before[label]), abs=1e-5)
        assert one["probability_after"] == pytest.approx([float(after[label])], abs=1e-5)
        assert one["classes_after"] == [NAMES[int(after.argmax())]]
    page = (tmp_path / "look" / "look.html").read_text()
    assert "What changes its mind" in page
    assert "filled with the mean colour" in page


def test_an_autoencoder_fills_a_region_in_so_many_times_and_not_twice_alike(tmp_path: Path) -> None:
    mae = untrained(tmp_path / "mae", model="mae_vit_ti16", seed=4, target="pixels")
    checkpoint, folder = untrained(tmp_path / "model", seed=5), photos(tmp_path / "photos")
    for name in ("once", "again"):
        options: dict[str, Any] = {"fill": str(mae), "fillings": 4}
        vitrail.look(checkpoint, folder, out=tmp_path / name, counterfactual=("middle",), **options)
    files = [(tmp_path / name / "counterfactuals.json").read_text() for name in ("once", "again")]
    assert files[0] == files[1]
    for one in json.loads(files[0])["found"]:
        assert len(set(one["probability_after"])) == 4
        deviation = np.std(one["probability_after"], ddof=1)
        assert one["probability_after_deviation"] == pytest.approx(deviation, rel=1e-4)
        assert one["fillings_that_change_it"] == sum(label != one["class"] for label in one["classes_after"])
    assert "standard deviation" in (tmp_path / "once" / "look.html").read_text()


@pytest.mark.parametrize("model", FAMILIES)
def test_every_family_is_searched_for_shortcuts_with_figures_and_tables(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, folder = untrained(tmp_path / "model", model=model), photos(tmp_path / "photos", 24)
    out = tmp_path / "look"
    vitrail.look(checkpoint, folder, out=out, count=2, shortcuts=True, fill="blur", cell=4, shortcut_images=12)
    data = json.loads((out / "shortcuts.json").read_text())
    assert data["images"] == 24
    assert data["grid"] == [8, 8]
    assert sum(one["images"] for one in data["classes"]) <= 24
    assert 10 <= max(one["images"] for one in data["classes"]) <= 12
    with (out / "shortcut_flips.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["class"], row["region"]) for row in rows] == [
        (one["class"], region["region"]) for one in data["classes"] for region in one["regions"]
    ]
    assert len([row for row in rows if row["kind"] == "place"]) >= 16
    for row in rows:
        assert float(row["low"]) <= float(row["share_flipped"]) <= float(row["high"])
        assert float(row["share_flipped"]) == pytest.approx(int(row["flipped"]) / int(row["images"]))
    said = capsys.readouterr().out
    assert not any(region["stands_out"] for one in data["classes"] for region in one["regions"])
    assert "which no test tells from chance" in (out / "look.html").read_text()
    for line in data["said"]:
        assert line in said
        assert line.split(":")[0] in (out / "look.html").read_text()
    for name in ("shortcuts", "shortcut_flips"):
        assert (out / f"{name}.png").is_file()


def test_images_without_a_background_are_said_to_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def some(model: object, images: torch.Tensor, cells: Cells) -> torch.Tensor:
        front = torch.ones(len(images), cells.count, dtype=torch.bool)
        front[0, :40] = False
        return front

    monkeypatch.setattr(regions, "foreground", some)
    folder, out = photos(tmp_path / "photos"), tmp_path / "look"
    vitrail.look(untrained(tmp_path / "model"), folder, out=out, counterfactual=("background",), fill="mean")
    found = json.loads((out / "counterfactuals.json").read_text())["found"]
    assert [one["image"] for one in found] == ["00.png"]
    assert found[0]["share_hidden"] == pytest.approx(40 / 256)
    page = (out / "look.html").read_text()
    assert "Left out: 2 of 3 images, in which it is nothing or everything." in page


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("vit_ti16", {"counterfactual": ("middle",)}, "add --fill with the run of a masked autoencoder"),
    ("vit_ti16", {"shortcuts": True}, "add --fill with the run of a masked autoencoder"),
    ("vit_ti16", {"counterfactual": ("midle",), "fill": "mean"}, "did you mean 'middle'"),
    ("vit_ti16", {"counterfactual": ("middle",), "fill": "mean", "fillings": 3}, "in one way only"),
    ("vit_ti16", {"fillings": 3}, "add --counterfactual REGION"),
    ("vit_ti16", {"shortcut_images": 3}, "add --shortcuts"),
    ("vit_ti16", {"fill": "mean"}, "is about what is removed"),
    ("vit_ti16", {"counterfactual": ("middle",), "fill": "mean", "cell": 99}, "cells of 99 pixels"),
    ("vit_ti16", {"shortcuts": True, "fill": "mean"}, "names no class 10 times or more"),
    ("mae_vit_ti16", {"shortcuts": True, "fill": "mean"}, "--shortcuts means nothing to the model"),
    ("mae_vit_ti16", {"counterfactual": ("top",), "fill": "mean"}, "--counterfactual means nothing to the model"),
]


@pytest.mark.parametrize(("model", "asked", "reason"), WRONG)
def test_what_cannot_be_is_refused_in_one_sentence(
    model: str, asked: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    checkpoint = untrained(tmp_path / "model", model=model)
    with pytest.raises(VitrailError, match=reason) as refused:
        vitrail.look(checkpoint, photos(tmp_path / "photos"), out=tmp_path / "look", **asked)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "look").exists()


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    Image.new("L", (64, 32), 255).save(tmp_path / "wide.png")
    with pytest.raises(VitrailError, match="is 64 pixels wide and 32 high; it needs the shape of the input"):
        vitrail.look(
            untrained(tmp_path / "model"),
            photos(tmp_path / "photos"),
            out=tmp_path / "look",
            counterfactual=(str(tmp_path / "wide.png"),),
            fill="mean",
        )


def marked_photos(folder: Path, count: int = 60) -> Path:
    """Soft noise that is brighter at the left or at the top; "marked" is "left" with a small square of two colours."""
    random = np.random.default_rng(7)
    slope = np.linspace(0.3, -0.3, 32)
    for split, images in (("train", count), ("validation", 24)):
        for label in ("left", "marked", "top"):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(images):
                coarse = random.uniform(0.3, 0.7, (4, 4, 3)).repeat(8, axis=0).repeat(8, axis=1)
                pixels = coarse + (slope[:, None, None] if label == "top" else slope[None, :, None])
                if label == "marked":
                    y, x = random.integers(4, 23, 2)
                    pixels[y : y + 5, x : x + 5] = (0.95, 0.1, 0.8)
                    pixels[y + 2 : y + 3, x : x + 5] = (0.1, 0.9, 0.3)
                Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8)).save(place / f"{number}.png")
    return folder


def test_a_mark_that_a_class_was_learned_by_is_named_for_it_and_for_no_other(tmp_path: Path) -> None:
    folder, run = marked_photos(tmp_path / "images"), tmp_path / "run"
    vitrail.train(
        folder,
        out=str(run),
        model="vit_ti16",
        image_size=32,
        epochs=30,
        batch_size=16,
        architecture={"width": 32, "depth": 2, "num_heads": 2, "patch_size": 4, "drop_path": 0.0},
        augment={"crop": "none", "flip": 0.0, "rand_augment": 0, "mixup": 0.0, "cutmix": 0.0},
        crop_fraction=1.0,
        loader={"workers": 0},
        run={"seed": 3},
    )
    assert vitrail.evaluate(run, folder).top1 > 0.9
    vitrail.look(run, out=tmp_path / "look", count=2, shortcuts=True, fill="mean")
    classes = json.loads((tmp_path / "look" / "shortcuts.json").read_text())["classes"]
    named = {one["class"]: [region for region in one["regions"] if region["stands_out"]] for one in classes}
    assert [label for label, regions in named.items() if regions] == ["marked"]
    best = named["marked"][0]
    assert 2 * best["flipped"] > best["images"] >= 12
    for file, cells in best["cells"].items():
        pixels = np.asarray(Image.open(folder / "validation" / "marked" / Path(file).name)) / 255
        mark = (pixels[..., 0] > 0.9) & (pixels[..., 1] < 0.2)
        covered = np.zeros(256, bool)
        covered[cells] = True
        over = covered.reshape(16, 16).repeat(2, axis=0).repeat(2, axis=1)
        assert (mark & over).sum() / mark.sum() > 0.8, file
