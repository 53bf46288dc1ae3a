import json

import pytest
import torch
from safetensors.torch import save_file

from vitrail.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, to_json
from vitrail.models.registry import build_model
from vitrail.weights.detect import LAYOUTS, Plain
from vitrail.weights.preprocessing import by_layout, preprocessing_of
from vitrail.weights.sidecars import transformers_processor

SHAPE = {"width": 64, "depth": 1, "num_heads": 4, "image_size": 32, "patch_size": 8}
HALF = (0.5, 0.5, 0.5)


def plain(layout: str, model: str = "vit_s16") -> Plain:
    state = build_model(model, **SHAPE).state_dict()
    return Plain({n.removeprefix("backbone.").removeprefix("encoder."): t for n, t in state.items()}, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_normalisation_of_its_origin(layout):
    origin = by_layout(plain(layout))
    googles = layout in ("google", "big_vision", "bit", "huggingface", "huggingface_2026")
    assert origin.preprocessing.mean == (HALF if googles else IMAGENET_MEAN)
    assert origin.preprocessing.std == (HALF if googles else IMAGENET_STD)
    assert origin.preprocessing.image_size == (32, 32)
    assert origin.reason


@pytest.mark.parametrize("layout", ["huggingface", "huggingface_2026", "mae", "timm"])
def test_a_masked_autoencoder_has_imagenets_whoever_packed_it(layout):
    origin = by_layout(plain(layout, "mae_vit_s16"))
    assert origin.preprocessing.mean == IMAGENET_MEAN
    assert "masked autoencoder" in origin.reason


def test_an_encoder_is_known_by_its_fixed_positions():
    whole = plain("timm", "mae_vit_s16")
    encoder = {n: t for n, t in whole.state.items() if not n.startswith("decoder.")}
    assert "masked autoencoder" in by_layout(Plain(encoder, "timm")).reason
    assert "masked autoencoder" not in by_layout(plain("timm")).reason


@pytest.fixture
def file(tmp_path):
    save_file(build_model("vit_s16", **SHAPE).state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_checkpoint_says_its_own(file):
    own = Preprocessing(image_size=(20, 30), channels=1, mean=(0.1,), std=(0.2,), resize="squash")
    file.with_name("config.json").write_text(json.dumps({"preprocessing": to_json(own)}))
    assert preprocessing_of(file).preprocessing == own
    assert preprocessing_of(file.parent).preprocessing == own


def test_timms_config_beside_the_file_is_used(file):
    config = {"input_size": [3, 384, 384], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 1.0, "crop_mode": "squash"}
    file.with_name("config.json").write_text(json.dumps({"architecture": "vit", "pretrained_cfg": config}))
    found = preprocessing_of(file)
    assert found.preprocessing == Preprocessing((384, 384), 3, HALF, HALF, "squash", 1.0)
    assert "config.json" in found.reason


@pytest.mark.parametrize(
    "own", [Preprocessing(), Preprocessing((64, 64), mean=HALF, std=HALF, resize="squash", crop_share=1.0)]
)
def test_transformers_config_beside_the_file_is_used_and_what_we_write_comes_back(file, own):
    file.with_name("preprocessor_config.json").write_text(json.dumps(transformers_processor(own)))
    assert preprocessing_of(file).preprocessing == own


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"pretrained_cfg": 3}', '{"preprocessing": {"mean": 3, "x": 1}}', '{"size": {}}']
)
def test_broken_files_beside_it_fall_back_to_the_default(file, content):
    for name in ("config.json", "preprocessor_config.json"):
        file.with_name(name).write_text(content)
    assert preprocessing_of(file).preprocessing.mean == IMAGENET_MEAN


def test_grey_files_are_not_given_three_channels():
    grey = build_model("vit_s16", **SHAPE, channels=1).state_dict()
    found = by_layout(Plain({n.removeprefix("backbone."): t for n, t in grey.items()}, "timm")).preprocessing
    assert found.channels == 1
    assert len(found.mean) == len(found.std) == 1
    assert torch.tensor(found.mean).item() == pytest.approx(sum(IMAGENET_MEAN) / 3)
