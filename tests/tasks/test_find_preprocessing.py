"""How images are prepared for weights of others: by the user's word, by what is written, by how sure the model is."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import vitrail
from tests.commands.foreign import timm_file
from vitrail.cli import main
from vitrail.config import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vitrail.data.requested import requested_images
from vitrail.errors import ConfigError
from vitrail.settings.inputs import InputOptions, normalization_name, parse_normalization, with_options
from vitrail.tasks.find_preprocessing import entropies, settle_preprocessing
from vitrail.weights.open_any import open_any

pytest.importorskip("timm")
pytestmark = pytest.mark.filterwarnings("ignore:.*(assumed|does not|prepared)")
DATA = Path(os.environ.get("VITRAIL_DATA", "/nowhere"))
DEIT = DATA / "weights" / "deit_tiny_patch16_224.safetensors"
real = pytest.mark.skipif(not DEIT.is_file(), reason="VITRAIL_DATA does not point at the shared data")
HALF = (0.5, 0.5, 0.5)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder of its own: what evaluate writes about others' weights lies in ``runs`` below it."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def folded(source: Path, target: Path) -> Path:
    """Copy a model of ImageNet's mean and deviation as one that computes the same from a mean and deviation of 0.5.

    With x = 0.5 h + 0.5 the patch embedding W (x - m) / s + b is W' h + b', W' = 0.5 W / s and
    b' = b + sum of W (0.5 - m) / s.
    """
    state = load_file(source)
    weight, bias = state["patch_embed.proj.weight"].double(), state["patch_embed.proj.bias"].double()
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    state["patch_embed.proj.weight"] = (0.5 * weight / std).float()
    state["patch_embed.proj.bias"] = (bias + (weight * (0.5 - mean) / std).sum(dim=(1, 2, 3))).float()
    save_file(state, target)
    return target


@real
def test_a_model_folded_to_a_mean_of_half_is_found_out_and_counts_the_same(tmp_path, capsys):
    copy = folded(DEIT, tmp_path / "folded.safetensors")
    photos = DATA / "imagenet_like"
    assert main(["evaluate", str(copy), str(photos), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["normalization"] == "half"
    assert any("half is taken" in note and "imagenet 2." in note and "half 2." in note for note in found["notes"])
    assert sum(row[number] for number, row in enumerate(found["confusion"])) == 208
    wrong = vitrail.evaluate(copy, photos, normalization="imagenet")
    assert wrong.normalization == "imagenet"
    assert wrong.right < 208


@real
def test_a_run_that_starts_from_the_folded_model_keeps_what_was_found_out(tmp_path):
    copy, run = folded(DEIT, tmp_path / "folded.safetensors"), tmp_path / "run"
    clothing = str(DATA / "clothing")
    # Clothes are none of its classes: it is no surer under the right normalisation, and still not taken in.
    vitrail.train(clothing, weights=str(copy), out=str(run), epochs=0.01, image_size=32, labels=40, batch_size=4)
    said = json.loads((run / "checkpoints" / "step_00000001" / "config.json").read_text())["preprocessing"]
    assert said["mean"] == said["std"] == [0.5] * 3


@real
@pytest.mark.parametrize("photos", ["imagenet_like", "clothing/test", "camvid/images/val", "coco_mini"])
def test_on_photos_of_any_kind_both_models_are_told_apart(tmp_path, photos):
    asked = requested_images(str(DATA / photos))
    for file, name in ((DEIT, "imagenet"), (folded(DEIT, tmp_path / "folded.safetensors"), "half")):
        found = settle_preprocessing(open_any(file), InputOptions(), asked)
        assert normalization_name(found.description.preprocessing) == name, found.notes


@pytest.fixture
def images(tmp_path: Path) -> Path:
    generator = np.random.default_rng(7)
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        Image.fromarray(generator.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return timm_file(tmp_path / "theirs.safetensors", classes=9)


def test_entropies_are_those_of_a_naive_loop(weights, images):
    opened = open_any(weights)
    preprocessing = opened.description.preprocessing
    read = [item.open(3) for item in requested_images(images)]
    found = entropies(opened.model, read, preprocessing)
    model = vitrail.open_model(weights)
    for value, file in zip(found.tolist(), sorted(images.iterdir()), strict=True):
        with torch.no_grad():
            scores = model.model(model.preprocess(file)[None])[0].double()
        shares = [float(s) for s in scores.exp() / scores.exp().sum()]
        assert value == pytest.approx(-sum(p * np.log(p) for p in shares), rel=1e-5)


@pytest.mark.parametrize(
    ("count", "said"), [(6, "mean entropy of its classes over 6 images"), (2, "too few images to tell"), (0, "assumed")]
)
def test_both_figures_are_said_and_few_images_decide_nothing(weights, images, count, said):
    opened = settle_preprocessing(open_any(weights), InputOptions(), requested_images(images)[:count])
    assert any(said in note for note in opened.notes), opened.notes
    if count < 4:
        assert opened.description.preprocessing.mean == IMAGENET_MEAN


def test_an_encoder_without_a_head_is_not_guessed_and_its_user_told_how_to_say_it(tmp_path, images):
    file = timm_file(tmp_path / "bare.safetensors", classes=0)
    opened = settle_preprocessing(open_any(file), InputOptions(), requested_images(images))
    assert any("cannot be found out: assumed imagenet; if it was half, say so with --norm" in n for n in opened.notes)


def test_what_is_written_beside_the_weights_is_not_found_out_again(weights, images):
    said = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9}
    weights.with_name("config.json").write_text(json.dumps({"pretrained_cfg": said}))
    opened = settle_preprocessing(open_any(weights), InputOptions(), requested_images(images))
    assert not any("entropy" in note for note in opened.notes)
    assert "normalization half (config.json beside it says so)" in opened.prepared
    assert opened.description.preprocessing == Preprocessing((32, 32), 3, HALF, HALF, "crop", 0.9)


def test_the_users_word_comes_before_all_else(weights, images):
    said = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9}
    weights.with_name("config.json").write_text(json.dumps({"pretrained_cfg": said}))
    options = {"normalization": "0.1/0.2,0.3,0.4", "resize": "squash", "interpolation": "bilinear"}
    model = vitrail.open_model(weights, **options)
    expected = Preprocessing((32, 32), 3, (0.1,) * 3, (0.2, 0.3, 0.4), "squash", 1.0, "bilinear")
    assert model.description.preprocessing == expected
    # Pillow's own resampling, which is another implementation: within its rounding to whole values.
    file = sorted(images.iterdir())[0]
    resized = np.array(Image.open(file).resize((32, 32), Image.Resampling.BILINEAR)).astype(np.float64) / 255
    wanted = (resized - 0.1) / np.array([0.2, 0.3, 0.4])
    got = model.preprocess(file).permute(1, 2, 0).double().numpy()
    assert np.abs(got - wanted).max() < 1.01 / 255 / 0.2


def test_every_command_that_takes_a_model_honours_the_options(weights, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in (
        ["predict", str(weights), str(images)],
        ["look", str(weights), str(images)],
    ):
        assert main([*words, "--normalization", "clip", "--crop-fraction", "0.5"]) == 0
        said = capsys.readouterr()
        prepared = "centre of 32x32 pixels of 64x64, bicubic, normalization clip"
        assert prepared in said.out + said.err
        assert "--normalization clip --crop-fraction 0.5" in said.out  # the next command says it again


@pytest.mark.parametrize("text", ["foo", "0.5", "1/2/3", "0.5/0", "0.5/-1", "nan/1", "0.5/inf", "127.5/127.5", "", "/"])
def test_what_is_no_normalisation_is_refused(text):
    with pytest.raises(ConfigError, match="--normalization"):
        InputOptions(normalization=text)


def test_options_that_do_not_fit_the_model_are_refused():
    grey = Preprocessing(channels=1, mean=(0.5,), std=(0.5,))
    assert normalization_name(with_options(grey, InputOptions(normalization="imagenet"))) == "imagenet"
    with pytest.raises(ConfigError, match="have 1 channels"):
        with_options(grey, InputOptions(normalization="0.1,0.2/0.3,0.4"))
    with pytest.raises(ConfigError, match="centre crop"):
        with_options(grey, InputOptions(resize="squash", crop_fraction=0.5))
    assert parse_normalization("0.1,0.2,0.3/0.4") == ((0.1, 0.2, 0.3), (0.4,))
