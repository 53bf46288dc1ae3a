"""The real DeiT-Ti on real photos, beside timm's model with the same file and the same pixels."""

import csv
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from vitrail.data.images import open_image
from vitrail.data.transforms import eval_transform
from vitrail.heads.names import build_model
from vitrail.weights.convert import convert
from vitrail.weights.detect import LAYOUTS
from vitrail.weights.load import load_weights
from vitrail.weights.weights_file import open_weights

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
    preprocessing = open_weights(FILE).preprocessing
    transform = eval_transform(preprocessing)
    pixels = torch.stack([transform(open_image(folder / row[name])) for row in rows]).float() / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (pixels - mean) / std, torch.tensor([int(row[label]) for row in rows])


@torch.no_grad()
def scores(model, images: torch.Tensor) -> torch.Tensor:
    return torch.cat([model.eval()(part) for part in images.split(50)])


@pytest.fixture(scope="module")
def ours() -> nn.Module:
    model = build_model("vit_ti16").eval()
    load_weights(model, FILE)
    return model


@pytest.fixture(scope="module")
def own_scores(ours, photos) -> torch.Tensor:
    return scores(ours, photos[0])


def test_every_prediction_is_timms(own_scores, photos):
    images, labels = photos
    theirs = timm.create_model("deit_tiny_patch16_224", checkpoint_path=str(FILE))
    expected, got = scores(theirs, images), own_scores
    assert relative_difference(got, expected) < 1e-5
    assert torch.equal(got.argmax(1), expected.argmax(1))
    assert right(got, labels) == right(expected, labels) == 208  # of 250: 0.832


def right(scores: torch.Tensor, labels: torch.Tensor) -> int:
    return int((scores.argmax(1) == labels).sum())


def test_an_exported_program_predicts_the_same_whatever_the_batch(ours, own_scores, photos):
    images, _ = photos
    batch = torch.export.Dim("batch", min=1, max=512)
    program = torch.export.export(ours, (images[:2],), dynamic_shapes=({0: batch},)).module()
    with torch.no_grad():
        got = torch.cat([program(part) for part in images[:60].split(40)])
    assert torch.equal(got.argmax(1), own_scores[:60].argmax(1))


def test_bf16_predicts_nearly_the_same(ours, own_scores, photos):
    images, labels = photos
    with torch.autocast("cpu", torch.bfloat16):
        got = scores(ours, images).float()
    same = int((got.argmax(1) == own_scores.argmax(1)).sum())
    assert same >= 245, f"{same} of 250 predictions are those of fp32"
    assert abs(right(got, labels) - 208) <= 3


def test_transformers_and_timm_predict_the_same_from_converted_folders(own_scores, photos, tmp_path):
    transformers = pytest.importorskip("transformers")
    images, expected = photos[0][:60], own_scores[:60]
    convert(FILE, "huggingface", tmp_path / "hf")
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path / "hf").eval()
    with torch.no_grad():
        got = torch.cat([theirs(part).logits for part in images.split(50)])
    assert torch.equal(got.argmax(1), expected.argmax(1))
    convert(FILE, "timm", tmp_path / "timm")
    got = scores(timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True), images)
    assert torch.equal(got.argmax(1), expected.argmax(1))


@pytest.mark.parametrize("to", ["google", "torchvision", "huggingface", "huggingface_2026", "mae", "timm", "vitrail"])
def test_scores_are_bit_identical_after_any_layout_and_back(ours, photos, tmp_path, to):
    images = photos[0][:8]
    there = convert(FILE, to, tmp_path / f"a{LAYOUTS[to].suffix}").out
    back = convert(there, "timm", tmp_path / "back.pth").out
    converted, returned = (build_model("vit_ti16") for _ in range(2))
    for model, file in ((converted, there), (returned, back)):
        load_weights(model, file)
    assert torch.equal(scores(converted, images), scores(ours, images))
    assert torch.equal(scores(returned, images), scores(ours, images))
