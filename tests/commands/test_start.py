"""Which model, input size and normalisation a run starts with, for every kind of model."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import vitrail
from tests.commands.conftest import QUICK, TINY
from vitrail.data.sources import Images
from vitrail.errors import ConfigError
from vitrail.heads.names import build_model
from vitrail.runs.choose_model import Start, choose_model
from vitrail.settings import Architecture
from vitrail.weights.weights_file import open_weights

# The smallest of each family that has every kind of part; digits are enlarged to 32 pixels.
FAMILIES = {
    "bit_r50x1": {"depths": (1, 1)},
    "swin_t": {"embed_width": 32, "depths": (2, 1), "window": 4},
    "r50_vit_b16": {"stem_depths": (1, 1), "patch_size": 8, "width": 32, "depth": 1, "num_heads": 2},
    "vit_ti16": {**TINY, "positions": "relative", "positions_at": "layers_shared", "pool": "attention"},
}
SCHOOL = {"channels": 1, "epochs": 1, "batch_size": 32, "labels": 64, "loader": {"workers": 0}}


def random_images(height: int, width: int, count: int = 3) -> Images:
    return Images([Image.new("RGB", (width, height))] * count, (0,) * count, ("a",) * count)


def start_from(file: Path, shown: Images, image_size: int | None = None) -> Start:
    return choose_model("auto", open_weights(file), Architecture(), shown, image_size, 3)


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("families")
    return {
        name: vitrail.train(
            "digits", model=name, out=str(out / name), image_size=32, architecture=options, **SCHOOL
        ).folder
        for name, options in FAMILIES.items()
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_trained_and_fine_tuned_at_another_size_that_is_no_square(
    name: str, families: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = vitrail.train(
        "digits", weights=str(families[name]), out=str(tmp_path / "run"), image_size=(32, 48), **SCHOOL
    )
    said = capsys.readouterr().out
    assert f"model {name}, as in" in said
    assert "trained at 32x32, this run sees 32x48" in said
    model, description = vitrail.open_checkpoint(result.folder)
    assert description.name == name
    assert description.preprocessing.image_size == (32, 48)
    expected = {key: getattr(model.backbone.config, key) for key in FAMILIES[name]}  # type: ignore[union-attr]
    assert {key: (v, v) if key == "window" else v for key, v in FAMILIES[name].items()} == expected
    assert vitrail.evaluate(str(result.folder), "digits").images == 300


@pytest.mark.parametrize("name", FAMILIES)
def test_size_defaults_to_that_of_the_images_for_every_family(name: str) -> None:
    start = choose_model(name, None, Architecture(), random_images(70, 100), None, 3)
    assert start.backbone.backbone_options["image_size"] == (64, 64)


@pytest.mark.parametrize(("name", "side"), [("vit_h14", 70), ("dinov2_vit_s14", 70), ("dinov3_vit_s16", 64)])
def test_size_defaults_to_whole_patches_of_every_model_with_one_grid(name: str, side: int) -> None:
    start = choose_model(name, None, Architecture(), random_images(75, 100), None, 3)
    assert start.backbone.backbone_options["image_size"] == (side, side)


def test_an_option_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="window is an option of swin"):
        vitrail.train("digits", out=str(tmp_path / "run"), image_size=32, architecture={"window": 4})
    assert not (tmp_path / "run").exists()


def test_weights_without_a_description_bring_the_normalisation_of_their_origin(tmp_path: Path) -> None:
    import numpy as np

    from vitrail.weights.convert import convert

    model = build_model("vit_ti16", num_classes=5, depth=12)
    save_file(
        {name.removeprefix("backbone."): t for name, t in model.state_dict().items()}, tmp_path / "meta.safetensors"
    )
    (tmp_path / "google").mkdir()
    convert(tmp_path / "meta.safetensors", "google", tmp_path / "google" / "noted.npz")
    with np.load(tmp_path / "google" / "noted.npz") as arrays:
        np.savez(tmp_path / "google" / "bare.npz", **dict(arrays))
    meta = start_from(tmp_path / "meta.safetensors", random_images(300, 300))
    google = start_from(tmp_path / "google" / "bare.npz", random_images(300, 300), 384)
    assert (meta.backbone.backbone, meta.preprocessing.mean) == ("vit_ti16", (0.485, 0.456, 0.406))
    assert meta.preprocessing.image_size == (224, 224)
    assert (google.preprocessing.mean, google.preprocessing.image_size) == ((0.5, 0.5, 0.5), (384, 384))
    assert any("trained at 224x224, this run sees 384x384" in note for note in google.notes)


def test_auto_takes_the_model_of_a_bare_file_with_all_that_makes_it_what_it_is(tmp_path: Path) -> None:
    options = {"embed_width": 32, "depths": (2, 1), "window": 4, "image_size": 128}
    save_file(build_model("swin_t", num_classes=5, **options).state_dict(), tmp_path / "model.safetensors")
    start = start_from(tmp_path / "model.safetensors", random_images(96, 96))
    assert start.backbone.backbone == "swin_t"
    assert {name: start.backbone.backbone_options[name] for name in ("embed_width", "depths")} == {
        "embed_width": 32,
        "depths": (2, 1),
    }
    assert tuple(start.backbone.backbone_options["window"]) == (4, 4)


def test_a_folder_of_transformers_is_a_start_with_its_own_normalisation(tmp_path: Path) -> None:
    from vitrail.weights.convert import convert

    save_file(build_model("vit_ti16", num_classes=5).state_dict(), tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", "huggingface", tmp_path / "hf")
    start = start_from(tmp_path / "hf", random_images(300, 300))
    assert start.backbone.backbone == "vit_ti16"
    assert start.preprocessing.mean == (0.485, 0.456, 0.406)


def test_colour_weights_are_fitted_to_grey_images_when_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_model("vit_ti16", num_classes=5, image_size=32, **TINY)
    save_file(model.state_dict(), tmp_path / "colour.safetensors")
    options = {"image_size": 32, "architecture": TINY, **SCHOOL}
    result = vitrail.train(
        "digits", model="vit_ti16", weights=str(tmp_path / "colour.safetensors"), out=str(tmp_path / "run"), **options
    )
    assert "adapted 1 (backbone.patch_embed.proj.weight)" in capsys.readouterr().out
    assert vitrail.open_checkpoint(result.folder)[1].preprocessing.channels == 1


def test_frozen_layers_keep_the_weights_they_came_with(families: dict[str, Path], tmp_path: Path) -> None:
    start, _ = vitrail.open_checkpoint(families["vit_ti16"])
    result = vitrail.train("digits", weights=str(families["vit_ti16"]), out=str(tmp_path / "run"), freeze=2, **SCHOOL)
    model, _ = vitrail.open_checkpoint(result.folder)
    before, after = start.state_dict(), model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(model.layer_of(name) < 2 for name in moved)  # type: ignore[operator]
    assert {"backbone.blocks.1.attn.qkv.weight", "head.weight"} <= moved


def test_freezing_the_head_as_well_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 to 3"):
        vitrail.train("digits", out=str(tmp_path / "run"), freeze=4, **{**QUICK})
    assert not (tmp_path / "run").exists()


def test_a_representation_layer_and_an_even_head_are_settings(tmp_path: Path) -> None:
    options = {**QUICK, "architecture": {**TINY, "representation": 16, "head_init": "zero"}}
    model, _ = vitrail.open_checkpoint(vitrail.train("digits", out=str(tmp_path / "run"), **options).folder)
    assert model.pre_logits.out_features == model.head.in_features == 16  # type: ignore[union-attr]
