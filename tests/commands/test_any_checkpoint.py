"""Every command that takes a model takes weights that vitrail did not write."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.foreign import timm_file, timm_vit
from vitrail.cli import main
from vitrail.data.imagenet import imagenet_ids, imagenet_names
from vitrail.errors import VitrailError

pytest.importorskip("timm")
pytestmark = pytest.mark.filterwarnings("ignore:.*(assumed|does not name)")

DATA = Path(os.environ.get("VITRAIL_DATA", "/nowhere"))
DEIT = DATA / "weights" / "deit_tiny_patch16_224.safetensors"
real = pytest.mark.skipif(not DEIT.is_file(), reason="VITRAIL_DATA does not point at the shared data")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder of its own: what evaluate writes about others' weights lies in ``runs`` below it."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write twelve noisy photos, in folders called by WordNet ids."""
    generator = np.random.default_rng(11)
    for number in range(12):
        folder = tmp_path / "photos" / imagenet_ids()[100 * (number % 3) + 7]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return timm_file(tmp_path / "theirs.safetensors")


def theirs(photos: Path) -> tuple[torch.Tensor, list[Path]]:
    """Return timm's own scores of the photos, prepared by hand."""
    files = sorted(photos.rglob("*.png"))
    pixels = torch.stack([torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) for file in files]).double()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        return timm_vit()(((pixels / 255 - mean) / std).float()), files


def uncropped(weights: Path) -> Path:
    """Say beside the weights how images are prepared, so that none of their pixels is resampled."""
    said = {"input_size": [3, 32, 32], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop_pct": 1.0}
    (weights.parent / "config.json").write_text(json.dumps({"pretrained_cfg": said}))
    return weights


def test_evaluate_counts_what_timm_gets_right(weights: Path, photos: Path):
    scores, files = theirs(photos)
    labels = torch.tensor([imagenet_ids().index(file.parent.name) for file in files])
    found = vitrail.evaluate(uncropped(weights), photos)
    assert found.images == 12
    assert found.right == int((scores.argmax(1) == labels).sum())
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(scores, labels)), rel=1e-5)
    assert any("by WordNet id" in note for note in found.notes)


def test_predict_says_timms_probabilities_with_imagenets_words(weights: Path, photos: Path):
    scores, files = theirs(photos)
    said = vitrail.predict(uncropped(weights), photos, top=2)
    for answer, row, file in zip(said, scores.softmax(1), files, strict=True):
        best = row.topk(2)
        assert answer.file == str(file)
        assert [name for name, _ in answer.classes] == [imagenet_names()[i] for i in best.indices]
        assert [p for _, p in answer.classes] == pytest.approx(best.values.tolist(), rel=1e-4)


def test_an_opened_model_embeds_as_timm_does(weights: Path, photos: Path):
    model = vitrail.open_model(uncropped(weights))
    files = sorted(photos.rglob("*.png"))
    with torch.no_grad():
        expected = timm_vit().forward_head(
            timm_vit().forward_features(torch.stack([model.preprocess(file) for file in files])), pre_logits=True
        )
    torch.testing.assert_close(model.embed(files), expected, rtol=1e-4, atol=1e-5)


def test_look_draws_its_attention_beside_nobody_elses_files(weights: Path, photos: Path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "hub"
    folder.mkdir()
    shutil.copy(uncropped(weights), folder / "model.safetensors")
    before = {path.name for path in folder.iterdir()}
    written = vitrail.look("hub", sorted(photos.rglob("*.png"))[:2])
    assert {path.name for path in folder.iterdir()} == before
    assert {"attention.png", "attention.npz", "filters.png", "attention_distance.json"} < {p.name for p in written}
    assert written[-1].name == "look.html"
    assert all(path.parent == Path("runs/look-hub") for path in written)


def test_what_must_be_assumed_is_said(weights: Path, photos: Path, capsys):
    assert main(["evaluate", str(weights), str(photos)]) == 0
    said = capsys.readouterr().out
    assert "does not name its 1,000 classes: taken for ImageNet-1k's" in said
    assert f"next: vitrail look {weights} {photos}" in said
    assert main(["predict", str(weights), str(photos), "--format", "csv"]) == 0
    said = capsys.readouterr()
    assert "does not name its 1,000 classes" in said.err
    assert said.out.startswith("file,class_1")


def test_classes_of_another_number_without_names_are_called_by_their_numbers(tmp_path: Path, photos: Path):
    file = timm_file(tmp_path / "seven.safetensors", classes=7)
    assert vitrail.predict(file, photos)[0].label in {f"class {number}" for number in range(7)}
    with pytest.raises(VitrailError, match="not trained on"):
        vitrail.evaluate(file, photos)


def test_a_headless_encoder_is_refused_by_what_needs_classes(tmp_path: Path, photos: Path):
    file = timm_file(tmp_path / "bare.safetensors", classes=0)
    with pytest.raises(VitrailError, match="knows no classes"):
        vitrail.evaluate(file, photos)
    with pytest.raises(VitrailError, match="knows no classes"):
        vitrail.predict(file, photos)


def test_a_folder_of_images_takes_its_classes_from_the_table_among_them(weights: Path, photos: Path, tmp_path: Path):
    flat = tmp_path / "flat"
    flat.mkdir()
    rows = ["file,imagenet_class_index"]
    for file in sorted(photos.rglob("*.png")):
        shutil.copy(file, flat)
        rows.append(f"{file.name},{imagenet_ids().index(file.parent.name)}")
    (flat / "labels.csv").write_text("\n".join(rows))
    table, folder, classes = (vitrail.evaluate(uncropped(weights), d) for d in (flat / "labels.csv", flat, photos))
    assert table.loss == folder.loss == pytest.approx(classes.loss)
    (flat / "labels.csv").write_text("\n".join(["file,photographer", *rows[1:]]))
    with pytest.raises(VitrailError, match=r"no class folders.*labels\.csv needs a column 'label'"):
        vitrail.evaluate(weights, flat)


@real
def test_deit_tells_208_of_250_photos_right_in_one_command(capsys):
    assert main(["evaluate", str(DEIT), str(DATA / "imagenet_like")]) == 0
    assert "208 of 250 images right" in capsys.readouterr().out


@real
def test_deit_answers_in_words(capsys):
    assert main(["predict", str(DEIT), str(DATA / "imagenet_like" / "00c3cd597f1ee96f.jpg")]) == 0
    assert "American coot" in capsys.readouterr().out
