"""One name for a model in every command: what is on the disk, and what is on the hub."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import vitrail
from vitrail.cli import main
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model
from vitrail.weights import fetch
from vitrail.weights.convert import convert
from vitrail.weights.named import find_model, origin_of
from vitrail.weights.weights_file import WeightsFile

TINY = {"width": 32, "depth": 1, "num_heads": 1, "image_size": 16, "patch_size": 8, "num_classes": 2}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder of its own: what evaluate writes about others' weights lies in ``runs`` below it."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the hub would have put into its cache: a model as transformers saves it."""
    save_file(build_model("vit_ti16", **TINY).state_dict(), tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", "huggingface", tmp_path / "fetched", num_heads=1)
    monkeypatch.setattr(fetch, "FETCHED", {("me/socks", ""): fetch.Fetched(tmp_path / "fetched", "0" * 40, "mit")})
    return tmp_path


def test_a_name_on_the_disk_stands_for_itself(folder: Path) -> None:
    for path in (folder, folder / "a.safetensors"):
        assert find_model(path) == find_model(str(path))
        assert (find_model(path).path, find_model(path).origin) == (path, None)


def test_a_repository_is_named_with_and_without_a_revision() -> None:
    assert (origin_of("hf:me/my-socks.2").repository, origin_of("hf:me/my-socks.2").revision) == ("me/my-socks.2", "")
    for revision in ("v1.0", "refs/pr/7", "0123abc"):
        found = origin_of(f"hf:me/socks@{revision}")
        assert (found.repository, found.revision, str(found)) == ("me/socks", revision, f"hf:me/socks@{revision}")


@pytest.mark.parametrize("name", ["hf:", "hf:socks", "hf:me/socks/model.safetensors", "hf:me/socks@", "hf://me/socks"])
def test_another_form_of_a_repositorys_name_is_refused_with_the_right_one(name: str) -> None:
    with pytest.raises(WeightsError, match="the form hf:OWNER/NAME"):
        find_model(name)


def test_every_part_of_the_package_takes_the_same_name(folder: Path) -> None:
    weights = WeightsFile("hf:me/socks")
    assert weights.path == folder / "fetched" / "model.safetensors"
    assert str(weights.origin) == weights.source == "hf:me/socks"
    model = build_model("vit_ti16", **TINY)
    vitrail.load_weights(model, "hf:me/socks")
    expected = WeightsFile(folder / "a.safetensors").tensors
    assert torch.equal(model.state_dict()["backbone.blocks.0.mlp.fc1.weight"], expected["blocks.0.mlp.fc1.weight"])
    assert main(["weights", "inspect", "hf:me/socks"]) == 0
    opened, _ = vitrail.from_pretrained("me/socks")
    assert torch.equal(opened.head.weight, model.head.weight)


def test_a_file_of_the_same_name_comes_before_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "hf:me").mkdir()
    (folder / "a.safetensors").rename(folder / "hf:me" / "socks")
    assert find_model("hf:me/socks").path == Path("hf:me/socks")


def test_a_name_that_stands_for_nothing_is_answered_with_the_nearest(folder: Path) -> None:
    for action in (find_model, vitrail.open_model, vitrail.inspect_weights):
        with pytest.raises(WeightsError, match=r"a\.safetensor does not exist.*did you mean 'a\.safetensors'"):
            action(str(folder / "a.safetensor"))


def test_a_bare_repository_is_not_fetched_unasked_but_its_name_is_given() -> None:
    with pytest.raises(WeightsError, match=r"there is no file or folder runs/socks; .* its name is hf:runs/socks$"):
        vitrail.open_model("runs/socks")
