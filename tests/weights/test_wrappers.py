"""What training scripts put around weights, what is no weights at all, and weights that are no numbers."""

import argparse
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import vitrail
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights.detect import LAYOUTS
from vitrail.weights.finite import is_finite
from vitrail.weights.load import load_weights
from vitrail.weights.reader import read_state
from vitrail.weights.weights_file import WeightsFile

pytestmark = pytest.mark.filterwarnings("ignore:.*assumed.*heads:UserWarning")

SMALL = {"image_size": 32, "patch_size": 8, "width": 64, "depth": 2, "num_heads": 1, "num_classes": 5}
MODEL = build_model("vit_ti16", **SMALL)
STATE = {name.removeprefix("backbone."): tensor for name, tensor in MODEL.state_dict().items()}
OTHER = {name: tensor + 1 for name, tensor in STATE.items()}
BESIDE = {
    "epoch": 3,
    "best": np.float64(0.3),
    "steps": np.int64(7),
    "loss": np.float32(2),
    "done": np.bool_(True),
    "args": argparse.Namespace(lr=0.1),
    "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
}


def loaded(content: object, folder) -> tuple[object, bool]:
    """Return the report, and whether the model has STATE now."""
    torch.save(content, folder / "a.pth")
    target = build_model("vit_ti16", **SMALL)
    report = load_weights(target, folder / "a.pth")
    arrived = {name.removeprefix("backbone."): tensor for name, tensor in target.state_dict().items()}
    return report, all(torch.equal(arrived[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "wrapper", ["model", "state_dict", "model_state_dict", "net", "ema", "model_ema", "weights", "my_own_name"]
)
def test_a_dict_of_tensors_one_level_down_is_found_under_any_name(wrapper, tmp_path):
    assert loaded({wrapper: STATE, **BESIDE}, tmp_path)[1]
    assert loaded({**BESIDE, "checkpoint": {wrapper: STATE}}, tmp_path)[1]


@pytest.mark.parametrize("averages", ["model_ema", "ema", "state_dict_ema"])
def test_averaged_weights_are_mentioned_and_not_taken_in_silence(averages, tmp_path):
    report, right = loaded({averages: OTHER, "model": STATE}, tmp_path)
    assert right
    assert f"(EMA) under '{averages}'" in str(report)
    assert "under 'model' were taken" in vitrail.inspect_weights(tmp_path / "a.pth").note
    report, right = loaded({averages: STATE, **BESIDE}, tmp_path)
    assert right
    assert "averaged ones" in str(report)


def test_two_sets_of_weights_are_not_chosen_between(tmp_path):
    with pytest.raises(WeightsError, match="2 sets of weights"):
        loaded({"first": STATE, "second": OTHER}, tmp_path)


@pytest.mark.parametrize(
    "prefix",
    [
        "net.",
        "vit.",
        "image_encoder.",
        "base_encoder.",
        "module.",
        "_orig_mod.",
        "backbone.",
        "encoder.",
        "model.",
        "module.model.backbone.",
        "_orig_mod.net.",
    ],
)
def test_common_prefixes_are_stripped(prefix, tmp_path):
    assert loaded({prefix + name: tensor for name, tensor in STATE.items()}, tmp_path)[1]


def test_transformers_own_prefix_is_no_wrapper(tmp_path):
    theirs = LAYOUTS["huggingface"].from_plain(STATE, 1)
    assert loaded({f"model.{name}": tensor for name, tensor in theirs.items()}, tmp_path)[1]


def test_a_criterion_or_a_momentum_encoder_beside_the_model_is_left_out_and_reported(tmp_path):
    model = {f"model.{name}": tensor for name, tensor in STATE.items()}
    report, right = loaded({"state_dict": {**model, "criterion.weight": torch.ones(5)}, **BESIDE}, tmp_path)
    assert right
    assert "criterion.weight" in report.dropped
    moco = {f"module.base_encoder.{name}": tensor for name, tensor in STATE.items()}
    moco |= {f"module.momentum_encoder.{name}": tensor for name, tensor in OTHER.items()}
    assert loaded({"state_dict": {**moco, "module.predictor.0.weight": torch.ones(2, 2)}}, tmp_path)[1]


def test_missing_biases_of_queries_keys_and_values_are_zeros(tmp_path):
    bare = {name: tensor for name, tensor in STATE.items() if not name.endswith("qkv.bias")}
    target = build_model("vit_ti16", **SMALL)
    target.backbone.blocks[1].attn.qkv.bias.data.fill_(1)
    save_file(bare, tmp_path / "a.safetensors")
    report = load_weights(target, tmp_path / "a.safetensors")
    assert not target.backbone.blocks[1].attn.qkv.bias.any()
    assert len(report.adapted) == 2
    del bare["blocks.0.norm1.bias"]
    save_file(bare, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="lacks 1 tensor"):
        load_weights(target, tmp_path / "a.safetensors")


def test_one_block_without_a_bias_that_others_have_is_damaged_and_not_zero(tmp_path):
    theirs = LAYOUTS["huggingface"].from_plain(STATE, 1)
    del theirs["vit.encoder.layer.1.attention.attention.key.bias"]
    with pytest.raises(WeightsError):
        loaded(theirs, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["pos_embed", "blocks.1.attn.qkv.weight", "head.bias"])
def test_weights_that_are_no_numbers_are_refused_by_name(value, dtype, name, tmp_path):
    broken = {**STATE, name: STATE[name].to(dtype, copy=True)}
    broken[name].view(-1)[-1] = value
    with pytest.raises(WeightsError, match=rf"{name}.*not finite"):
        loaded(broken, tmp_path)
    save_file(broken, tmp_path / "model.safetensors")
    before = {key: tensor.clone() for key, tensor in MODEL.state_dict().items()}
    with pytest.raises(WeightsError, match=name):
        load_weights(MODEL, tmp_path / "model.safetensors")
    assert all(torch.equal(tensor, before[key]) for key, tensor in MODEL.state_dict().items())
    with pytest.raises(WeightsError, match=name):
        vitrail.from_pretrained(tmp_path / "model.safetensors")


def test_the_files_own_name_of_a_tensor_is_given(tmp_path):
    theirs = LAYOUTS["huggingface"].from_plain(STATE, 1)
    key = "vit.encoder.layer.1.attention.attention.query.weight"
    theirs[key] = torch.full_like(theirs[key], float("nan"))
    with pytest.raises(WeightsError, match=key):
        loaded(theirs, tmp_path)


def test_numbers_beyond_32_bits_would_become_infinite_and_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"norm\.weight"):
        loaded({**STATE, "norm.weight": torch.full((64,), 1e300, dtype=torch.float64)}, tmp_path)


def test_what_is_left_out_may_be_anything(tmp_path):
    nan = {"decoder.pos": torch.full((3,), float("nan"))}
    assert loaded({**STATE, **nan}, tmp_path)[1]
    other = {**STATE, "head.weight": torch.full((9, 64), float("nan")), "head.bias": torch.zeros(9)}
    assert "head.weight" in loaded(other, tmp_path)[0].dropped


def test_large_finite_numbers_are_no_infinity():
    assert is_finite(torch.full((1000,), 3e38))
    assert is_finite(torch.full((1000,), 6e4, dtype=torch.float16))
    assert is_finite(torch.empty(0))


def test_no_copy_of_the_weights_is_made_to_look_at_them(tmp_path):
    import tracemalloc

    tensor = torch.ones(2**22)
    tracemalloc.start()
    with torch.profiler.profile(profile_memory=True) as profile:
        assert is_finite(tensor)
    tracemalloc.stop()
    assert max(event.cpu_memory_usage for event in profile.key_averages()) < 2**16


NO_WEIGHTS = {
    "lfs.safetensors": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "Git LFS"),
    "page.pth": (b"\n\n<!DOCTYPE html><html><head>", "web page"),
    "keras.h5": (b"\x89HDF\r\n\x1a\n" + bytes(80), "HDF5"),
    "llama.gguf": (b"GGUF" + bytes(80), "GGUF"),
    "vit.onnx": (b"\x08\x08\x12\x07pytorch" + bytes(80), "ONNX"),
    "vit.ckpt.index": (bytes(80), "TensorFlow"),
    "vit.ckpt.data-00000-of-00001": (bytes(80), "TensorFlow"),
    "flax_model.msgpack": (b"\x83\xa5" + bytes(80), "Flax"),
    "vit.tflite": (b"\x1c\0\0\0TFL3" + bytes(80), "TensorFlow Lite"),
    "vit.tar.gz": (b"\x1f\x8b" + bytes(80), "gzip"),
    "photo.pth": (b"\xff\xd8\xff\xe0" + bytes(80), "an image"),
}


@pytest.mark.parametrize("name", NO_WEIGHTS)
def test_files_that_are_no_weights_are_called_what_they_are(name, tmp_path):
    content, said = NO_WEIGHTS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        read_state(tmp_path / name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_torchscript_program_is_called_one(tmp_path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), str(tmp_path / "a.pt"))
    with pytest.raises(WeightsError, match="TorchScript"):
        read_state(tmp_path / "a.pt")


def test_one_shard_of_several_names_what_to_give(tmp_path):
    shard = tmp_path / "model-00002-of-00003.safetensors"
    save_file({"a": torch.ones(1)}, shard)
    for source in (shard, tmp_path):
        with pytest.raises(WeightsError, match=r"shard 2 of 3.*fetch all"):
            read_state(source)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {}}))
    with pytest.raises(WeightsError, match=r"give .*index\.json"):
        read_state(shard)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("https://example.org/vit.pth", "is an address"),
        ("s3://bucket/vit.pth", "is an address"),
        (Path("https://example.org/vit.pth"), "https://example.org/vit.pth is an address"),
        ("google/vit-base-patch16-224", "its name is hf:google/vit-base-patch16-224"),
    ],
)
def test_addresses_and_repositories_are_told_from_files(source, said):
    for action in (read_state, vitrail.inspect_weights, lambda s: load_weights(MODEL, s)):
        with pytest.raises(WeightsError, match=said):
            action(source)


@pytest.mark.parametrize("source", [3, None, b"a", {"a": 1}, "a\0b", "x" * 5000])
def test_what_is_no_path_is_refused_in_one_sentence(source, tmp_path):
    file = tmp_path / "model.safetensors"
    save_file(STATE, file)
    for action in (
        lambda: load_weights(MODEL, source),
        lambda: vitrail.from_pretrained(source),
        lambda: vitrail.inspect_weights(source),
        lambda: vitrail.open_checkpoint(source),
        lambda: vitrail.convert_weights(file, "timm", source),
        lambda: vitrail.save_pretrained(file, source),
    ):
        with pytest.raises(WeightsError):
            action()


def written(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.pth", '{"error": "Access denied"}', 'a text file that begins \'{"error": "Access denied"}\''),
        ("model.safetensors", "Invalid username or password.\n", "a text file that begins 'Invalid username"),
        ("checkpoint", 'model_checkpoint_path: "model.ckpt-7"\n', "part of a TensorFlow checkpoint"),
        ("saved_model.pb", b"\x08\x01\x12\x9b\x0a" + bytes(60), "part of a TensorFlow checkpoint"),
        ("model.bin", b"./model.pth" + bytes(246) + b"ustar\x0000" + bytes(500), "a tar archive; unpack it first"),
    ],
)
def test_what_is_no_weights_file_is_named_by_its_content(
    name: str, content: bytes | str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=re.escape(said)):
        read_state(written(tmp_path, name, content))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tf_model.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "but tf_model.h5, an HDF5 file (Keras)"),
        ("saved_model.pb", b"\x08\x01", "but part of a TensorFlow SavedModel"),
        ("model.onnx", b"\x08\x07\x12\x07pytorch" + bytes(99), "but model.onnx, an ONNX program"),
        ("q4.gguf", b"GGUF\x03" + bytes(99), "but q4.gguf, a GGUF file"),
        ("notes.txt", "nothing", "holds no weights; expected model.safetensors"),
    ],
)
def test_a_folder_of_another_frameworks_weights_says_which(
    name: str, content: bytes | str, said: str, tmp_path: Path
) -> None:
    written(tmp_path, name, content)
    with pytest.raises(WeightsError, match=re.escape(said)):
        read_state(tmp_path)


def test_a_folder_with_one_weights_file_of_any_name_is_that_file(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "vit.safetensors")
    torch.save({"optimizer": {}}, tmp_path / "training.pt")
    assert read_state(tmp_path).keys() == STATE.keys()
    save_file(STATE, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds no weights"):
        read_state(tmp_path)


@pytest.mark.parametrize("prefix", ["", "somebodys.wrapper."])
def test_an_unknown_layout_names_the_nearest_and_what_that_lacks(prefix: str, tmp_path: Path) -> None:
    renamed = {"patch_embed.proj": "embedder.conv", "attn.qkv": "attn.in_proj"}
    state = {}
    for name, tensor in MODEL.state_dict().items():
        for old, new in renamed.items():
            name = name.replace(old, new)
        state[prefix + name.removeprefix("backbone.")] = tensor
    save_file(state, tmp_path / "vit.safetensors")
    with pytest.raises(WeightsError, match=r"nearest are timm's ViT, which has no .*(embedder|in_proj)"):
        vitrail.inspect_weights(tmp_path / "vit.safetensors")


def test_a_known_layout_with_unknown_parts_names_them_and_the_nearest_model(tmp_path: Path) -> None:
    state = {name.removeprefix("backbone."): tensor for name, tensor in MODEL.state_dict().items()}
    save_file({**state, "blocks.0.adapter.down.weight": torch.ones(2, 2)}, tmp_path / "vit.safetensors")
    with pytest.raises(WeightsError, match=r"blocks\.0\.adapter\.down\.weight\).*; nearest is vit_"):
        _ = WeightsFile(tmp_path / "vit.safetensors").spec
