import json

import pytest
import torch
from safetensors.torch import save_file

import vitrail
from vitrail.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, to_json
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights.detect import LAYOUTS, translate
from vitrail.weights.preprocessing import default_preprocessing
from vitrail.weights.sidecars import transformers_processor
from vitrail.weights.weights_file import open_weights

SHAPE = {"width": 64, "depth": 1, "num_heads": 4, "image_size": 32, "patch_size": 8}
HALF = (0.5, 0.5, 0.5)


def plain(model: str = "vit_s16") -> dict[str, torch.Tensor]:
    state = build_model(model, **SHAPE).state_dict()
    return {name.removeprefix("backbone.").removeprefix("encoder."): tensor for name, tensor in state.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_the_normalisation_of_its_origin(layout):
    preprocessing, reason = default_preprocessing(layout, plain())
    googles = layout in ("google", "big_vision", "bit", "huggingface", "huggingface_2026")
    assert preprocessing.mean == (HALF if googles else IMAGENET_MEAN)
    assert preprocessing.std == (HALF if googles else IMAGENET_STD)
    assert preprocessing.image_size == (32, 32)
    assert reason


@pytest.mark.parametrize("layout", ["huggingface", "huggingface_2026", "mae", "timm"])
def test_a_masked_autoencoder_has_imagenets_whoever_packed_it(layout):
    preprocessing, reason = default_preprocessing(layout, plain("mae_vit_s16"))
    assert preprocessing.mean == IMAGENET_MEAN
    assert "masked autoencoder" in reason


def test_an_encoder_is_known_by_its_fixed_positions():
    encoder = {name: tensor for name, tensor in plain("mae_vit_s16").items() if not name.startswith("decoder.")}
    assert "masked autoencoder" in default_preprocessing("timm", encoder)[1]
    assert "masked autoencoder" not in default_preprocessing("timm", plain())[1]


@pytest.fixture
def file(tmp_path):
    save_file(build_model("vit_s16", **SHAPE).state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_a_checkpoint_says_its_own(file):
    own = Preprocessing(image_size=(20, 30), channels=1, mean=(0.1,), std=(0.2,), resize="squash")
    file.with_name("config.json").write_text(json.dumps({"preprocessing": to_json(own)}))
    assert open_weights(file).preprocessing == own
    assert open_weights(file.parent).preprocessing == own


def test_timms_config_beside_the_file_is_used(file):
    config = {"input_size": [3, 384, 384], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 1.0, "crop_mode": "squash"}
    file.with_name("config.json").write_text(json.dumps({"architecture": "vit", "pretrained_cfg": config}))
    found = open_weights(file)
    assert found.preprocessing == Preprocessing((384, 384), 3, HALF, HALF, "squash", 1.0)
    assert "config.json" in found.preprocessing_reason


@pytest.mark.parametrize(
    "own", [Preprocessing(), Preprocessing((64, 64), mean=HALF, std=HALF, resize="squash", crop_fraction=1.0)]
)
def test_transformers_config_beside_the_file_is_used_and_what_we_write_comes_back(file, own):
    file.with_name("preprocessor_config.json").write_text(json.dumps(transformers_processor(own)))
    assert open_weights(file).preprocessing == own


@pytest.mark.parametrize("content", ['{"pretrained_cfg": 3}', '{"preprocessing": 7}', '{"size": {}}'])
def test_files_beside_it_that_say_nothing_of_it_fall_back_to_the_default(file, content):
    for name in ("config.json", "preprocessor_config.json"):
        file.with_name(name).write_text(content)
    assert open_weights(file).preprocessing.mean == IMAGENET_MEAN


MEAN = [0.1, 0.2, 0.3]
TIMMS = {"input_size": [3, 32, 32], "mean": MEAN, "std": MEAN}
TRANSFORMERS = {"size": {"height": 32, "width": 32}, "image_mean": MEAN, "image_std": MEAN}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", {"preprocessing": {"mean": 3}}),
        ("config.json", {"preprocessing": {"mean": MEAN, "x": 1}}),
        ("config.json", {"preprocessing": {"crop_fraction": 7}}),
        ("config.json", {"pretrained_cfg": TIMMS | {"mean": 3}}),
        ("config.json", {"pretrained_cfg": TIMMS | {"std": [0.0] * 3}}),
        ("config.json", {"pretrained_cfg": TIMMS | {"crop_pct": "wide"}}),
        ("config.json", TIMMS | {"input_size": [3, 32]}),
        ("preprocessor_config.json", TRANSFORMERS | {"image_mean": MEAN[:2]}),
        ("preprocessor_config.json", TRANSFORMERS | {"size": {"width": 32}}),
        ("preprocessor_config.json", TRANSFORMERS | {"rescale_factor": 0}),
    ],
)
def test_what_stands_beside_weights_and_cannot_be_is_refused_and_no_default_taken(file, name, said):
    file.with_name(name).write_text(json.dumps(said))
    with pytest.raises(WeightsError, match=rf"{name} says how images are to be prepared, and nothing can be prepared"):
        _ = open_weights(file).preprocessing


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Preprocessing((32, 32), 3, (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), "squash", 1.0)),
        ({"resample": 2}, Preprocessing((32, 32), 3, (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), "squash", 1.0, "bilinear")),
        ({"do_normalize": False}, Preprocessing((32, 32), 3, (0.0,) * 3, (1.0,) * 3, "squash", 1.0)),
        (
            {"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}},
            Preprocessing((32, 32), 3, (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), "crop", 0.8),
        ),
        (
            {"size": {"shortest_edge": 32}, "do_center_crop": False},
            Preprocessing((32, 32), 3, (0.1, 0.2, 0.3), (0.1, 0.2, 0.3), "crop", 1.0),
        ),
    ],
)
def test_transformers_processors_are_read_in_all_their_forms(file, changes, expected):
    file.with_name("preprocessor_config.json").write_text(json.dumps(TRANSFORMERS | changes))
    assert open_weights(file).preprocessing == expected


def test_values_of_another_scale_than_one_are_normalised_as_the_processor_does(file):
    # (x * factor - mean) / std, with x from 0 to 255.
    said = TRANSFORMERS | {"rescale_factor": 1 / 127.5}
    file.with_name("preprocessor_config.json").write_text(json.dumps(said))
    found = open_weights(file).preprocessing
    ours = (100 / 255 - torch.tensor(found.mean)) / torch.tensor(found.std)
    theirs = (100 / 127.5 - torch.tensor(MEAN)) / torch.tensor(MEAN)
    torch.testing.assert_close(ours, theirs)


def test_an_interpolation_that_is_not_known_here_is_said_and_not_passed_over(file):
    file.with_name("preprocessor_config.json").write_text(json.dumps(TRANSFORMERS | {"resample": 1}))
    assert "for its interpolation lanczos stands bicubic" in open_weights(file).preprocessing_reason


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"model": {"name": "vi', "\x00", "[" * 100_000], ids=lambda c: c[:9]
)
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
def test_a_damaged_file_beside_weights_is_named_and_nothing_guessed_in_its_place(file, name, content):
    file.with_name(name).write_text(content)
    with pytest.raises(WeightsError, match=rf"{name} is damaged .*copy or fetch it again"):
        vitrail.from_pretrained(file.parent)


def test_a_byte_order_mark_before_a_config_is_no_damage(file):
    own = Preprocessing(image_size=(32, 32), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    file.with_name("config.json").write_text("\ufeff" + json.dumps({"preprocessing": to_json(own)}), encoding="utf-8")
    assert open_weights(file).preprocessing.mean == own.mean


def test_grey_files_are_not_given_three_channels():
    grey = build_model("vit_s16", **SHAPE, channels=1).state_dict()
    found, _ = default_preprocessing("timm", {n.removeprefix("backbone."): t for n, t in grey.items()})
    assert found.channels == 1
    assert len(found.mean) == len(found.std) == 1
    assert torch.tensor(found.mean).item() == pytest.approx(sum(IMAGENET_MEAN) / 3)


@pytest.mark.parametrize(
    ("name", "mean", "resize", "crop_fraction"),
    [
        ("deit_ti16_distilled", IMAGENET_MEAN, "crop", 0.875),
        ("deit3_s16", IMAGENET_MEAN, "crop", 0.875),
        ("beit_b16", (0.5, 0.5, 0.5), "crop", 0.875),
        ("dinov2_vit_s14", IMAGENET_MEAN, "crop", 0.875),
        ("dinov3_vit_s16", IMAGENET_MEAN, "crop", 0.875),
        ("clip_vit_b16", (0.48145466, 0.4578275, 0.40821073), "crop", 1.0),
        ("siglip_vit_b16", (0.5, 0.5, 0.5), "squash", 1.0),
    ],
)
def test_todays_encoders_get_the_colours_they_were_trained_with(name, mean, resize, crop_fraction):
    model = build_model(name, num_classes=3, width=64, depth=1, num_heads=1, image_size=64, patch_size=16)
    plain, layout, _ = translate(model.state_dict(), name)
    found, why = default_preprocessing(layout, plain)
    assert (found.mean, found.resize, found.crop_fraction) == (mean, resize, crop_fraction)
    assert found.image_size == ((224, 224) if "dinov3" in name else (64, 64))
    assert why
