"""What convert writes is opened by the other library's own front door, and computes the same there."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vitrail
from vitrail.config import Preprocessing
from vitrail.errors import WeightsError
from vitrail.heads.names import build_model, parse_model
from vitrail.weights.convert import convert
from vitrail.weights.description import Description
from vitrail.weights.weights_file import open_weights

from .random_weights import randomise, relative_difference

NAMES = ("boot", "coat", "hat")
PREPROCESSING = Preprocessing((64, 64), mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), crop_fraction=0.875)
VIT = {"width": 64, "depth": 2, "num_heads": 2, "patch_size": 8, "image_size": 64, "num_classes": 3}
SWIN = {"embed_width": 32, "depths": (2, 2), "window": 4, "image_size": 64, "num_classes": 3}
HYBRID = {"width": 64, "depth": 1, "num_heads": 1, "image_size": 64, "num_classes": 3}
MAE = {"width": 64, "depth": 1, "num_heads": 2, "patch_size": 8, "image_size": 64, "decoder_width": 64}
MAE |= {"decoder_depth": 2, "decoder_heads": 2}


def saved(folder: Path, name: str, options: dict) -> torch.nn.Module:
    """Write a random model as a checkpoint of vitrail's, with class names and preprocessing."""
    model = randomise(build_model(name, **options))
    names = NAMES if "num_classes" in options else ()
    vitrail.save_pretrained(model, folder, Description(parse_model(name, options), PREPROCESSING, names))
    return model


@pytest.mark.parametrize(("name", "options"), [("vit_s16", VIT), ("swin_t", SWIN)])
@pytest.mark.parametrize("generation", ["huggingface", "huggingface_2026"])
def test_transformers_opens_the_folder_with_its_classes_and_preprocessing(name, options, generation, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = saved(tmp_path / "own", name, options)
    done = convert(tmp_path / "own", generation, tmp_path / "hf")
    assert done.beside == ("config.json", "preprocessor_config.json")
    theirs, info = transformers.AutoModelForImageClassification.from_pretrained(
        tmp_path / "hf", output_loading_info=True
    )
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert theirs.config.id2label == dict(enumerate(NAMES))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs.eval()(images).logits) < 1e-5
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "hf")
    assert tuple(processor.image_mean) == PREPROCESSING.mean
    assert processor(torch.zeros(3, 100, 200, dtype=torch.uint8), return_tensors="pt").pixel_values.shape[2:] == (
        64,
        64,
    )
    assert open_weights(tmp_path / "hf").preprocessing == PREPROCESSING


def test_transformers_opens_a_masked_autoencoder_that_reconstructs_the_same(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = saved(tmp_path / "own", "mae_vit_s16", {**MAE, "target": "pixels"})
    convert(tmp_path / "own", "huggingface", tmp_path / "hf")
    theirs = transformers.ViTMAEForPreTraining.from_pretrained(tmp_path / "hf").eval()
    assert theirs.config.norm_pix_loss is False
    images, noise = torch.randn(2, 3, 64, 64), torch.rand(2, 64)
    with torch.no_grad():
        expected = theirs(images, noise=noise)
        got = ours(images, mask=expected.mask.bool())
    assert relative_difference(got.predicted, expected.logits) < 1e-5
    assert float(got.loss) == pytest.approx(float(expected.loss), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_s16", VIT),
        ("vit_s16", {**VIT, "pool": "mean", "class_token": False}),
        ("vit_s16", {**VIT, "pool": "attention"}),
        ("r26_vit_s32", HYBRID),
        ("swin_t", SWIN),
        ("bit_r50x1", {"num_classes": 3, "image_size": 64}),
    ],
)
def test_timm_builds_the_model_from_the_folder_alone(name, options, tmp_path):
    timm = pytest.importorskip("timm")
    ours = saved(tmp_path / "own", name, options)
    convert(tmp_path / "own", "timm", tmp_path / "timm")
    theirs = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours(images), theirs(images)) < 1e-5
    config = timm.data.resolve_model_data_config(theirs)
    assert tuple(config["mean"]) == PREPROCESSING.mean
    assert (config["crop_pct"], tuple(config["input_size"])) == (0.875, (3, 64, 64))
    assert open_weights(tmp_path / "timm").preprocessing == PREPROCESSING


@pytest.mark.parametrize(
    ("name", "options"),
    [("bit_r50x1", {"depths": (1, 1), "num_classes": 3}), ("vit_s16", {**VIT, "representation": 8})],
)
def test_what_timm_cannot_build_from_a_config_gets_none(name, options, tmp_path):
    saved(tmp_path / "own", name, options)
    assert convert(tmp_path / "own", "timm", tmp_path / "timm").beside == ()


def test_a_checkpoint_comes_back_from_any_library_with_its_classes(tmp_path):
    saved(tmp_path / "own", "vit_s16", VIT)
    source = load_file(tmp_path / "own" / "model.safetensors")
    for library in ("timm", "huggingface", "google", "torchvision", "mae"):
        convert(tmp_path / "own", library, tmp_path / library)
        file = next((tmp_path / library).glob("model.*"))
        convert(file, "vitrail", tmp_path / "back" / library)
        model, description = vitrail.open_checkpoint(tmp_path / "back" / library)
        assert description.class_names == NAMES, library
        assert description.preprocessing == PREPROCESSING, library
        assert all(torch.equal(tensor, source[name]) for name, tensor in model.state_dict().items())


def test_shards_of_transformers_are_converted(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = saved(tmp_path / "own", "vit_s16", VIT)
    convert(tmp_path / "own", "huggingface", tmp_path / "hf")
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path / "hf")
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    done = convert(tmp_path / "shards", "vitrail", tmp_path / "back")
    assert done.num_heads == 2, "read from transformers' config"
    model, _ = vitrail.open_checkpoint(done.out.parent)
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_files_of_other_weights_are_not_written_over(tmp_path):
    saved(tmp_path / "own", "vit_s16", VIT)
    saved(tmp_path / "other", "vit_s16", {**VIT, "depth": 1})
    convert(tmp_path / "own", "huggingface", tmp_path / "hf")
    before = (tmp_path / "hf" / "model.safetensors").read_bytes()
    with pytest.raises(WeightsError, match=r"config\.json is there already and belongs to other weights"):
        convert(tmp_path / "other", "huggingface", tmp_path / "hf")
    assert (tmp_path / "hf" / "model.safetensors").read_bytes() == before
    convert(tmp_path / "own", "huggingface", tmp_path / "hf")


def test_metas_and_microsofts_code_find_the_tensors_under_model(tmp_path):
    saved(tmp_path / "vit", "vit_s16", VIT)
    saved(tmp_path / "swin", "swin_t", SWIN)
    for name, layout in (("vit", "mae"), ("swin", "swin")):
        convert(tmp_path / name, layout, tmp_path / f"{name}.pth")
        assert set(torch.load(tmp_path / f"{name}.pth", weights_only=True)) == {"model"}


def test_an_encoder_leaves_without_its_decoder_when_asked(tmp_path):
    timm = pytest.importorskip("timm")
    ours = saved(tmp_path / "own", "mae_vit_s16", MAE)
    convert(tmp_path / "own", "timm", tmp_path / "timm", encoder_only=True)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert relative_difference(ours.encoder.forward_features(images), theirs.forward_features(images)) < 1e-5


def test_placeholders_are_not_taken_for_names(tmp_path):
    save_file(build_model("vit_s16", **VIT).state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}}))
    _, description = vitrail.from_pretrained(tmp_path / "model.safetensors")
    assert description.class_names == ("0", "1", "2")
