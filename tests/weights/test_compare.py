import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from vitrail.heads.names import build_model
from vitrail.weights.compare import compare
from vitrail.weights.convert import convert

from .random_weights import randomise

SHAPE = {"width": 64, "depth": 2, "num_heads": 1, "image_size": 32, "patch_size": 8}
MODELS = {
    "vit_s16": {**SHAPE, "num_classes": 3},
    "mae_vit_s16": {**SHAPE, "decoder_width": 32, "decoder_depth": 1, "decoder_heads": 1},
    "mpp_vit_s16": SHAPE,
    "swin_t": {"embed_width": 32, "depths": (2, 1), "window": 4, "num_classes": 3},
    "bit_r50x1": {"depths": (1, 1), "num_classes": 3},
}


@pytest.fixture(params=MODELS)
def file(request, tmp_path):
    model = randomise(build_model(request.param, **MODELS[request.param]))
    save_file(model.state_dict(), tmp_path / "source.safetensors")
    return tmp_path / "source.safetensors"


def test_a_file_converted_there_and_back_is_the_same_in_tensors_and_outputs(file, tmp_path):
    names = load_file(file)
    if "predictor.mask_token" not in names:
        convert(file, "mae" if "decoder.mask_token" in names else "timm", tmp_path / "there" / "a.safetensors")
        convert(tmp_path / "there" / "a.safetensors", "vitrail", tmp_path / "back" / "b.safetensors")
        file, source = tmp_path / "back" / "b.safetensors", file
    else:
        source = file
    found = compare(file, source)
    assert found.same
    assert found.difference == 0
    assert "bit for bit" in str(found)


def test_one_changed_number_is_found_in_tensors_and_outputs(file, tmp_path):
    state = load_file(file)
    name = next(name for name in state if name.endswith("norm.weight") and "decoder" not in name)
    state[name][0] += 0.5
    save_file(state, tmp_path / "changed.safetensors")
    found = compare(tmp_path / "changed.safetensors", file)
    assert len(found.changed) == 1
    assert name.endswith(found.changed[0])
    assert found.difference is not None
    assert found.difference > 1e-4
    assert "changes" in str(found)


def test_a_real_image_is_shown_as_the_source_wants_it(tmp_path):
    model = randomise(build_model("vit_s16", **SHAPE, num_classes=3))
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    state = dict(model.state_dict())
    state["head.weight"] = state["head.weight"] * 2
    save_file(state, tmp_path / "b.safetensors")
    Image.new("RGB", (50, 40), (200, 30, 90)).save(tmp_path / "red.png")
    noise, red = (
        compare(tmp_path / "b.safetensors", tmp_path / "a.safetensors", p) for p in (None, tmp_path / "red.png")
    )
    assert noise.changed == red.changed == ("head.weight",)
    assert noise.difference != red.difference


def test_what_is_lost_and_added_is_named_and_outputs_are_not_invented(tmp_path):
    model = randomise(build_model("vit_s16", **SHAPE, num_classes=3))
    state = model.state_dict()
    save_file(state, tmp_path / "whole.safetensors")
    lost = {name: tensor for name, tensor in state.items() if "blocks.1." not in name} | {"more": torch.ones(1)}
    save_file(lost, tmp_path / "cut.safetensors")
    found = compare(tmp_path / "cut.safetensors", tmp_path / "whole.safetensors")
    assert len(found.missing) == 12
    assert found.added == ("more",)
    assert found.difference is None
    assert "not compared" in str(found)


def test_a_zero_that_changed_its_sign_is_a_change(tmp_path):
    state = randomise(build_model("vit_s16", **SHAPE, num_classes=3)).state_dict()
    state["head.bias"] = torch.zeros(3)
    save_file(state, tmp_path / "a.safetensors")
    save_file(state | {"head.bias": -torch.zeros(3)}, tmp_path / "b.safetensors")
    assert compare(tmp_path / "b.safetensors", tmp_path / "a.safetensors").changed == ("head.bias",)
