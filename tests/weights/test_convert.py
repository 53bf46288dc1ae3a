import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vitrail.config import IMAGENET_MEAN
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights.convert import convert
from vitrail.weights.detect import LAYOUTS, translate
from vitrail.weights.inspect import inspect, verify
from vitrail.weights.load import load_weights
from vitrail.weights.reader import read_state
from vitrail.weights.weights_file import open_weights

from .random_weights import randomise

SHAPE = {"width": 64, "depth": 2, "num_heads": 4, "image_size": 32, "patch_size": 8}
VIT = ("google", "torchvision", "huggingface", "huggingface_2026", "mae", "timm", "vitrail")


def suffix(layout: str) -> str:
    return LAYOUTS[layout].suffix


@pytest.fixture
def classifier(tmp_path):
    model = randomise(build_model("vit_s16", **SHAPE, num_classes=3))
    save_file(model.state_dict(), tmp_path / "source.safetensors")
    return tmp_path / "source.safetensors"


@pytest.mark.parametrize("to", VIT)
def test_there_and_back_through_every_layout_is_bit_identical(classifier, tmp_path, to):
    there = convert(classifier, to, tmp_path / to / f"a{suffix(to)}", num_heads=4)
    assert there.new == to
    back = convert(there.out, "vitrail", tmp_path / "back.safetensors")
    source, final = load_file(classifier), load_file(back.out)
    assert source.keys() == final.keys()
    assert all(torch.equal(source[n], final[n]) for n in source)
    assert verify(there.out).ok, str(verify(there.out))


@pytest.mark.parametrize("first", VIT)
def test_from_every_layout_to_every_other_is_bit_identical(classifier, tmp_path, first):
    source = translate(read_state(classifier), "x")[0]
    one = convert(classifier, first, tmp_path / "one" / f"a{suffix(first)}", num_heads=4).out
    for second in VIT:
        two = convert(one, second, tmp_path / second / f"b{suffix(second)}").out
        final = translate(read_state(two), "x")[0]
        assert source.keys() == final.keys()
        assert all(torch.equal(source[n], final[n]) for n in source), second


def test_big_vision_gives_the_same_logits_with_the_class_tokens_position_in_the_token(classifier, tmp_path):
    convert(classifier, "big_vision", tmp_path / "a.npz", num_heads=4)
    ours, again = (build_model("vit_s16", **SHAPE, num_classes=3).eval() for _ in range(2))
    load_weights(ours, classifier)
    load_weights(again, tmp_path / "a.npz")
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(again(images), ours(images), rtol=1e-5, atol=1e-6)


def test_preprocessing_goes_along_though_the_new_names_stand_for_another(classifier, tmp_path):
    assert open_weights(classifier).preprocessing.mean == IMAGENET_MEAN
    for name, to in (("a.npz", "google"), ("a.pth", "huggingface"), ("a.safetensors", "huggingface")):
        out = convert(classifier, to, tmp_path / "there" / name, num_heads=4).out
        weights = open_weights(out)
        assert weights.preprocessing.mean == IMAGENET_MEAN, name
        assert weights.preprocessing_reason == "the file says so"


def test_what_is_written_is_an_ordinary_file_of_its_kind(classifier, tmp_path):
    npz = convert(classifier, "google", tmp_path / "a.npz", num_heads=4).out
    with np.load(npz) as archive:
        assert archive["Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel"].shape == (64, 4, 16)
        assert archive["embedding/kernel"].shape == (8, 8, 3, 64)
    pth = convert(classifier, "timm", tmp_path / "a.pth").out
    assert torch.load(pth, weights_only=True)["blocks.0.attn.qkv.weight"].shape == (192, 64)


def test_bfloat16_survives_every_format(tmp_path):
    model = randomise(build_model("vit_s16", **SHAPE, num_classes=3)).bfloat16()
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", "google", tmp_path / "a.npz", num_heads=4)
    convert(tmp_path / "a.npz", "vitrail", tmp_path / "b.safetensors")
    assert all(torch.equal(t, model.state_dict()[n]) for n, t in load_file(tmp_path / "b.safetensors").items())


def test_a_layout_without_place_for_a_tensor_says_so(tmp_path):
    model = build_model("vit_s16", **SHAPE, pool="mean", num_classes=3)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"no place for 2 tensors of this model \(fc_norm"):
        convert(tmp_path / "a.safetensors", "huggingface", tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


@pytest.mark.parametrize(
    ("to", "name", "message"),
    [
        ("gogle", "a.npz", "did you mean 'google'"),
        ("google", "a.safetensors", r"ends in \.npz"),
        ("timm", "a.npz", r"ends in \.safetensors or \.pth"),
        ("swin", "a.pth", "not one for a ViT; there are google"),
    ],
)
def test_a_wrong_layout_or_name_is_one_clear_sentence(classifier, tmp_path, to, name, message):
    with pytest.raises(WeightsError, match=message):
        convert(classifier, to, tmp_path / name)


def test_heads_that_do_not_divide_the_width_are_refused(classifier, tmp_path):
    with pytest.raises(WeightsError, match="do not divide"):
        convert(classifier, "google", tmp_path / "a.npz", num_heads=5)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(classifier, tmp_path):
    (tmp_path / "a.safetensors").mkdir()
    with pytest.raises(WeightsError, match="cannot be written"):
        convert(classifier, "timm", tmp_path / "a.safetensors")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "source.safetensors"]


def test_inspect_names_the_model_and_what_it_is_for(tmp_path):
    with torch.device("meta"):
        state = build_model("mae_vit_b16").state_dict()
    names = {n: torch.empty(t.shape, dtype=torch.bfloat16) for n, t in state.items()}
    save_file(names, tmp_path / "a.safetensors")
    found = inspect(tmp_path / "a.safetensors")
    assert found.parameters == 111_907_840  # as published for MAE's ViT-B with its decoder
    assert found.shape["name"] == "mae_vit_b16"
    assert "mae_vit_b16" in str(found)
    assert found.dtypes == ("bfloat16",)


def test_verify_finds_values_that_are_not_finite_and_blocks_that_are_cut(classifier, tmp_path):
    assert verify(classifier).ok
    state = load_file(classifier)
    state["head.bias"][0] = float("nan")
    del state["backbone.blocks.1.norm2.weight"]
    save_file(state, tmp_path / "bad.safetensors")
    problems = verify(tmp_path / "bad.safetensors").problems
    assert any("head.bias" in p and "finite" in p for p in problems)
    assert "blocks.1 lacks norm2.weight" in problems


@pytest.mark.parametrize("name", ["vit_ti16", "mae_vit_ti16"])
def test_the_heads_of_a_checkpoint_follow_its_width_as_they_did_when_it_was_trained(tmp_path, name):
    """A run may say its width alone: three heads as in the model of that name are not what it has then."""
    options = {"width": 192 * 2, "depth": 1, "image_size": 32}
    save_file(build_model(name, **options).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        json.dumps({"model": {"name": name, "options": options}, "preprocessing": {}})
    )
    convert(tmp_path, "huggingface", tmp_path / "there")
    assert json.loads((tmp_path / "there" / "config.json").read_text())["num_attention_heads"] == 6


@pytest.mark.parametrize(("name", "to"), [("mae_vit_s16", "timm"), ("mpp_vit_s16", "timm"), ("mpp_vit_s16", "mae")])
def test_what_stands_above_an_encoder_goes_only_where_there_is_a_place_for_it(tmp_path, name, to):
    save_file(build_model(name, **SHAPE).state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="--encoder-only leaves out"):
        convert(tmp_path / "a.safetensors", to, tmp_path / "b.safetensors")
    convert(tmp_path / "a.safetensors", to, tmp_path / "b.safetensors", encoder_only=True)
    assert not any("decoder" in name or "predictor" in name for name in load_file(tmp_path / "b.safetensors"))


def test_fitted_components_are_kept_by_vitrail_alone(tmp_path):
    save_file(build_model("mae_vit_s16", **SHAPE, target="pca").state_dict(), tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", "vitrail", tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match=r"decoder\.target"):
        convert(tmp_path / "a.safetensors", "mae", tmp_path / "c.safetensors")


def test_inspect_tells_a_patch_predictor_from_a_backbone(tmp_path):
    save_file(build_model("mpp_vit_s16", **SHAPE).state_dict(), tmp_path / "a.safetensors")
    assert "predicts hidden patches" in inspect(tmp_path / "a.safetensors").kind
