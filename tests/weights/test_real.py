"""The real DeiT-Ti on real photos, beside timm's model with the same file and the same pixels."""

import csv
import os
from pathlib import Path

import pytest
import torch

from vitrail.data.images import open_image
from vitrail.data.transforms import eval_transform
from vitrail.models.zoo import build_model
from vitrail.weights.convert import convert
from vitrail.weights.detect import LAYOUTS
from vitrail.weights.load import load_weights
from vitrail.weights.preprocessing import preprocessing_of

from .random_weights import relative_difference

DATA = Path(os.environ.get("VITRAIL_DATA", "/nowhere"))
FILE = DATA / "weights" / "deit_tiny_patch16_224.safetensors"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="VITRAIL_DATA does not point at the shared data")
timm = pytest.importorskip("timm")


@pytest.fixture(scope="module")
def photos() -> tuple[torch.Tensor, torch.Tensor]:
    folder = DATA / "imagenet_like"
    with (folder / "labels.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    keys = list(rows[0])
    name, label = keys[0], next(key for key in keys if "label" in key or "class" in key)
    preprocessing = preprocessing_of(FILE).preprocessing
    transform = eval_transform(preprocessing)
    pixels = torch.stack([transform(open_image(folder / row[name])) for row in rows]).float() / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (pixels - mean) / std, torch.tensor([int(row[label]) for row in rows])


@torch.no_grad()
def scores(model, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([model.eval()(part) for part in images.split(50)])


def test_every_prediction_is_timms(photos):
    images, labels = photos
    theirs = timm.create_model("deit_tiny_patch16_224", checkpoint_path=str(FILE))
    ours = build_model("vit_ti16")
    load_weights(ours, FILE)
    expected, got = scores(theirs, images), scores(ours, images)
    assert relative_difference(got, expected) < 1e-5
    assert torch.equal(got.argmax(1), expected.argmax(1))
    assert float((got.argmax(1) == labels).float().mean()) > 0.82


@pytest.mark.parametrize("to", ["google", "torchvision", "huggingface", "huggingface_2026", "mae", "timm", "vitrail"])
def test_scores_are_bit_identical_after_any_layout_and_back(photos, tmp_path, to):
    images = photos[0][:8]
    there = convert(FILE, to, tmp_path / f"a{LAYOUTS[to].suffix}").out
    back = convert(there, "timm", tmp_path / "back.pth").out
    direct, converted, returned = (build_model("vit_ti16") for _ in range(3))
    for model, file in ((direct, FILE), (converted, there), (returned, back)):
        load_weights(model, file)
    assert torch.equal(scores(converted, images), scores(direct, images))
    assert torch.equal(scores(returned, images), scores(direct, images))
