import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vitrail
from vitrail.cli import main
from vitrail.config import from_json
from vitrail.heads.names import build_model
from vitrail.heads.registry import build
from vitrail.heads.spec import ModelSpec

SHAPE = {"width": 64, "depth": 2, "num_heads": 1, "image_size": 32, "patch_size": 8, "num_classes": 3}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    state = build_model("vit_s16", **SHAPE).state_dict()
    save_file({name.removeprefix("backbone."): t for name, t in state.items()}, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_inspect_names_layout_model_normalisation_and_how_to_build_it(file, capsys):
    assert main(["weights", "inspect", str(file)]) == 0
    said = capsys.readouterr().out
    for part in ("timm", "width 64", "3 classes", "32x32", "0.485", "a classifier", "vitrail.create_model("):
        assert part in said
    assert main(["weights", "inspect", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["shapes"]["blocks.1.attn.qkv.weight"] == [192, 64]
    model = build(from_json(ModelSpec, found["model"]))
    assert not vitrail.load_weights(model, file).missing


def test_convert_then_verify_against_the_source(file, tmp_path, capsys):
    out = tmp_path / "google"
    assert main(["weights", "convert", str(file), "--to", "google", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"next: vitrail weights verify {out / 'model.npz'} --source {file}" in said
    assert main(["weights", "verify", str(out / "model.npz"), "--source", str(file)]) == 0
    said = capsys.readouterr().out
    assert "every tensor has its place" in said
    assert said.count("bit for bit") == 2
    assert main(["weights", "verify", str(out / "model.npz"), "--source", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["comparison"]["difference"] == 0


def test_verify_of_a_changed_file_fails(file, tmp_path, capsys):
    state = load_file(file)
    state["head.bias"] += 1
    save_file(state, tmp_path / "b.safetensors")
    assert main(["weights", "verify", str(tmp_path / "b.safetensors"), "--source", str(file)]) == 2
    assert "does not hold the tensors of" in capsys.readouterr().err
    state["head.bias"][0] = torch.nan
    save_file(state, tmp_path / "b.safetensors")
    assert main(["weights", "verify", str(tmp_path / "b.safetensors")]) == 2
    assert "head.bias holds values that are not finite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["inspct", "FILE"], "did you mean 'inspect'"),
        (["inspect", "/no/such.pth"], "no weights file"),
        (["convert", "FILE"], "--to LAYOUT and --out FOLDER"),
        (["convert", "FILE", "--to", "tim", "--out", "x"], "did you mean 'timm'"),
        (["convert", "FILE", "--to", "google", "--out", "x.pth"], "ends in .npz"),
        (["verify", "FILE", "--sorce", "x"], "did you mean '--source'"),
        (["verify", "FILE", "--source", "/no/such.pth"], "no weights file"),
        (["verify", "FILE", "--source", "FILE", "--image", "/no/such.png"], "/no/such.png"),
        (["push", "FILE"], "--to OWNER/NAME"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(words, answer, file, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["weights", *(str(file) if word == "FILE" else word for word in words)]) == 2
    said = capsys.readouterr().err
    assert answer in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_functions_are_the_verb(file, tmp_path):
    assert vitrail.inspect_weights(file).shape["width"] == 64
    done = vitrail.convert_weights(file, "huggingface", tmp_path / "hf")
    verification, comparison = vitrail.verify_weights(done.out, source=file)
    assert verification.ok
    assert comparison is not None
    assert comparison.same
