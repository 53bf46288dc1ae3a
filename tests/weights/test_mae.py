import argparse

import pytest
import torch

from vitrail.heads.names import build_model
from vitrail.weights.detect import detect
from vitrail.weights.formats import mae as layout
from vitrail.weights.inspect import inspect
from vitrail.weights.load import load_weights

from .random_weights import randomise

SHAPE = {"width": 64, "depth": 2, "num_heads": 4, "image_size": 32, "patch_size": 8}
DECODER = {"decoder_width": 32, "decoder_depth": 2, "decoder_heads": 4}


def official(model) -> dict[str, torch.Tensor]:
    """The names of the published files, written out by hand."""
    state = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("encoder."):
            state[name[len("encoder.") :]] = tensor
        elif name == "decoder.mask_token":
            state["mask_token"] = tensor
        else:
            state[name.replace("decoder.", "decoder_", 1).replace("decoder_predict", "decoder_pred")] = tensor
    return state


@pytest.fixture
def mae():
    return randomise(build_model("mae_vit_s16", **SHAPE, **DECODER))


def saved(state, path, **around):
    torch.save({"model": state, **around}, path)
    return path


def test_a_whole_file_loads_with_its_decoder(mae, tmp_path):
    training = {"args": argparse.Namespace(lr=1e-3), "epoch": 799, "optimizer": {}, "scaler": {}}
    file = saved(official(mae), tmp_path / "mae_pretrain_vit_full.pth", **training)
    target = build_model("mae_vit_s16", **SHAPE, **DECODER)
    report = load_weights(target, file)
    assert report.layout == "mae"
    assert not (report.missing + report.dropped + report.unexpected)
    assert all(torch.equal(t, target.state_dict()[n]) for n, t in mae.state_dict().items())
    assert "decoder" in inspect(file).kind


def test_the_names_are_the_published_ones_there_and_back(mae):
    state = official(mae)
    assert {"mask_token", "decoder_pos_embed", "decoder_embed.weight", "decoder_blocks.1.attn.qkv.weight"} < set(state)
    assert {"decoder_norm.bias", "decoder_pred.weight", "blocks.0.norm1.weight", "norm.weight"} < set(state)
    assert detect(state, "x") == "mae"
    back = layout.from_plain(layout.to_plain(state), 4)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[n], state[n]) for n in state)


def test_an_encoder_alone_loads_into_an_encoder_and_a_classifier(mae, tmp_path):
    file = saved(mae.encoder.state_dict(), tmp_path / "mae_pretrain_vit.pth")
    target = build_model("mae_vit_s16", **SHAPE, **DECODER)
    assert not load_weights(target.encoder, file).missing
    assert all(torch.equal(t, target.encoder.state_dict()[n]) for n, t in mae.encoder.state_dict().items())
    classifier = build_model("vit_s16", **SHAPE, pool="mean", num_classes=3)
    report = load_weights(classifier, file)
    assert set(report.missing) == {"backbone.fc_norm.weight", "backbone.fc_norm.bias", "head.weight", "head.bias"}
    assert set(report.dropped) == {"norm.weight", "norm.bias"}
    assert "encoder alone" not in inspect(file).kind  # its positions are random here, not MAE's
    untouched = build_model("mae_vit_s16", **SHAPE, **DECODER).encoder
    assert "encoder alone" in inspect(saved(untouched.state_dict(), tmp_path / "b.pth")).kind


def test_a_fine_tuned_file_has_its_own_norm_and_head(tmp_path):
    source = randomise(build_model("vit_s16", **SHAPE, pool="mean", num_classes=3))
    state = {n.removeprefix("backbone."): t for n, t in source.state_dict().items()}
    assert "fc_norm.weight" in state
    assert "norm.weight" not in state
    target = build_model("vit_s16", **SHAPE, pool="mean", num_classes=3).eval()
    assert not load_weights(target, saved(state, tmp_path / "mae_finetuned_vit.pth")).missing
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(target(images), source(images))


def test_both_position_tables_are_resized(mae, tmp_path):
    target = build_model("mae_vit_s16", **{**SHAPE, "image_size": 48}, **DECODER)
    report = load_weights(target, saved(official(mae), tmp_path / "a.pth"))
    assert set(report.resized) == {"encoder.pos_embed", "decoder.pos_embed"}
