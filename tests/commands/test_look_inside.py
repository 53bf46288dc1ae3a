"""What `look` draws of a model's inside and of its answers, with the numbers beside every figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.untrained import untrained
from vitrail.errors import ConfigError, VitrailError
from vitrail.explain.methods import METHODS, Request, explain
from vitrail.explain.target import Target
from vitrail.output import Progress
from vitrail.settings.commands import ExplainMethod
from vitrail.weights.checkpoint import open_checkpoint

DISTANCE = {"attention_distance.json"}
TOKENS = {"patch_tokens.npz", "nearest_patches.json", "layer_similarity.npz"}
VIT = {"attention.npz", "filters.npz", "positions.npz", "outlier_tokens.npz", *DISTANCE, *TOKENS}
FILLED_IN = ("reconstruction", "reconstruction_true_statistics", "mask_ratios", "maskings")
DRAWN: dict[str, set[str]] = {
    "vit_ti16": VIT,
    "mae_vit_ti16": VIT | {f"{name}.npz" for name in FILLED_IN},
    "swin_t": {"attention.npz", "bias.npz", "windows.json", "filters.npz", *DISTANCE, *TOKENS},
    "bit_r50x1": {"filters.npz", "nearest_patches.json", "layer_similarity.npz"},
}


def photos(folder: Path, count: int = 4, side: int = 40) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def looked(model: Path, tmp_path: Path, **options: Any) -> Path:
    vitrail.look(model, photos(tmp_path / "photos"), out=tmp_path / "look", **options)
    return tmp_path / "look"


@pytest.mark.parametrize("model", DRAWN)
def test_all_that_has_a_meaning_is_drawn_with_its_numbers_and_two_sentences(model: str, tmp_path: Path) -> None:
    out = looked(untrained(tmp_path / "model", model=model), tmp_path)
    data = {path.name for path in out.iterdir() if path.suffix in (".json", ".npz")}
    assert data == DRAWN[model]
    assert {f"{Path(name).stem}.png" for name in data} <= {path.name for path in out.iterdir()}
    page = (out / "look.html").read_text()
    for words in ("ViT paper", "DINOv2", "CKA", "Need Registers"):
        assert (words in page) == (model in ("vit_ti16", "mae_vit_ti16") or words in WITHOUT[model]), words


WITHOUT = {"swin_t": ("ViT paper", "DINOv2", "CKA"), "bit_r50x1": ("CKA",)}
"""What the page of a model that is no ViT says all the same."""


def test_the_numbers_are_those_of_the_model(tmp_path: Path) -> None:
    model = untrained(tmp_path / "model")
    out = looked(model, tmp_path, pixel=(9, 30))
    network: Any = open_checkpoint(model)[0]
    filters = np.load(out / "filters.npz")
    rows = network.backbone.patch_embed.proj.weight.detach().flatten(1)
    assert float(filters["shares"][0]) == pytest.approx(
        float(torch.linalg.svdvals(rows - rows.mean(0))[0] ** 2 / (rows - rows.mean(0)).square().sum()), rel=1e-4
    )
    distance = json.loads((out / "attention_distance.json").read_text())
    assert list(distance) == ["model"]
    assert np.shape(distance["model"]["distance"]) == (2, 2, 4)  # block, head, image
    nearest = json.loads((out / "nearest_patches.json").read_text())
    assert nearest["patch"] == [0, 1, 3]  # of 8 pixels
    assert len(nearest["nearest"]) == 3


def test_the_numbers_are_of_all_images_and_the_figures_of_some(tmp_path: Path) -> None:
    model, few, many = untrained(tmp_path / "model"), photos(tmp_path / "few", 8), photos(tmp_path / "many", 10)
    for folder in (few, many):
        vitrail.look(model, folder, out=tmp_path / f"look_{folder.name}", count=10)
    for name in ("patch_tokens", "outlier_tokens"):
        sizes = [Image.open(tmp_path / f"look_{folder}" / f"{name}.png").size for folder in ("few", "many")]
        assert sizes[0] == sizes[1]
    assert np.load(tmp_path / "look_many" / "outlier_tokens.npz")["norms"].shape == (10, 4, 4)
    assert np.load(tmp_path / "look_many" / "patch_tokens.npz")["groups"].shape == (10, 4, 4)


def test_an_explanation_is_the_methods_own_and_its_test_stands_on_the_page(tmp_path: Path) -> None:
    model = untrained(tmp_path / "model")
    methods = ("leave-one-out", "grad-cam")
    out = looked(model, tmp_path, explain="class 1", method=methods, sanity=True)
    maps = np.load(out / "explanation.npz")
    assert maps["classes"].tolist() == [1] * 4
    opened = vitrail.open_model(model)
    images = torch.stack([opened.preprocess(path) for path in sorted((tmp_path / "photos").iterdir())])
    request = Request(opened.model, images, Target(torch.ones(4, dtype=torch.int64)))
    for name in methods:
        np.testing.assert_allclose(maps[name], explain(name, request).values.numpy(), rtol=1e-4, atol=1e-6)
    tested = json.loads((out / "faithfulness.json").read_text())
    assert set(tested) == set(methods)
    assert len(tested["grad-cam"]["named"]["deletion"]) == 4
    sanity = json.loads((out / "sanity.json").read_text())
    assert [row["randomised_down_to_layer"] for row in sanity["grad-cam"]] == [3, 2, 1, 0]
    page = (out / "look.html").read_text()
    assert "Explanation: why class 1" in page
    assert "Adebayo" in page


def test_a_sanity_check_that_takes_long_says_how_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Progress, "FIRST_AFTER", 0.0)
    monkeypatch.setattr(Progress, "THEN_EVERY", 0.0)
    model = untrained(tmp_path / "model")
    looked(model, tmp_path, explain="1", method=("leave-one-out", "grad-cam"), sanity=True)
    said = [line for line in capsys.readouterr().err.splitlines() if "maps of the sanity check" in line]
    # Of two methods the map as it is, and one for each of the head, two blocks and the embeddings.
    assert [line.split(" maps")[0] for line in said] == [f"{done} of 10" for done in range(1, 10)]
    assert all("left" in line for line in said)


@pytest.mark.parametrize("name", ["vit_ti16", "swin_t"])
def test_in_python_an_explanation_is_that_of_the_figure(name: str, tmp_path: Path) -> None:
    model = untrained(tmp_path / "model", model=name)
    out = looked(model, tmp_path, explain="class 1", against="2", method=("grad-cam", "leave-one-out"))
    opened = vitrail.open_model(model)
    for method in ("grad-cam", "leave-one-out"):
        found = opened.explain(sorted((tmp_path / "photos").iterdir()), "class 1", against="2", method=method)
        np.testing.assert_allclose(found.values, np.load(out / "explanation.npz")[method], rtol=1e-4, atol=1e-6)
    with pytest.raises(ConfigError, match="is no class of the model"):
        opened.explain(tmp_path / "photos" / "0.png", "shirt")
    encoder = vitrail.open_model(untrained(tmp_path / "mae", model="mae_vit_ti16"))
    with pytest.raises(ConfigError, match="knows no classes"):
        encoder.explain(tmp_path / "photos" / "0.png")


@pytest.mark.parametrize("model", ["swin_t", "bit_r50x1", "vit_ti16"])
def test_one_class_is_set_against_another_on_every_family(model: str, tmp_path: Path) -> None:
    out = looked(
        untrained(tmp_path / "model", model=model), tmp_path, explain="1", against="class 2", fill="blur", cell=8
    )
    maps = np.load(out / "explanation.npz")
    assert maps["classes"].tolist() == [1] * 4
    assert maps["against"].tolist() == [2] * 4
    assert maps["leave-one-out"].shape == (4, 4, 4)
    assert "why 1 and not class 2" in (out / "look.html").read_text()


def test_a_masked_autoencoder_fills_what_is_removed(tmp_path: Path) -> None:
    mae = untrained(tmp_path / "mae", model="mae_vit_ti16", seed=4)
    swin = untrained(tmp_path / "model", model="swin_t")
    out = looked(swin, tmp_path, explain="predicted", fill=str(mae))
    assert np.load(out / "explanation.npz")["leave-one-out"].shape == (4, 8, 8)
    vitrail.look(swin, tmp_path / "photos", out=tmp_path / "wide", explain="predicted", fill=str(mae), cell=16)
    assert np.load(tmp_path / "wide" / "explanation.npz")["leave-one-out"].shape == (4, 2, 2)
    assert "filled in by the masked autoencoder" in (out / "look.html").read_text()


@pytest.mark.parametrize(
    ("model", "hidden"), [("vit_ti16", "taken out of the sequence"), ("swin_t", "filled with the mean colour")]
)
def test_the_page_says_how_patches_are_hidden(model: str, hidden: str, tmp_path: Path) -> None:
    out = looked(untrained(tmp_path / "model", model=model), tmp_path, explain="predicted")
    page = (out / "look.html").read_text()
    assert hidden in page
    assert ("taken out" in page) == (model == "vit_ti16")


def test_other_models_stand_in_the_same_charts(tmp_path: Path) -> None:
    model, other = untrained(tmp_path / "model"), untrained(tmp_path / "other", model="swin_t", seed=5)
    third = untrained(tmp_path / "third", model="mae_vit_ti16", seed=6)
    out = looked(model, tmp_path, compare=str(other))
    distance = json.loads((out / "attention_distance.json").read_text())
    assert list(distance) == ["model", "other"]
    assert set(np.load(out / "layer_similarity.npz")) == {"model against model", "model against other"}
    vitrail.look(model, tmp_path / "photos", out=tmp_path / "three", compare=(str(other), str(third)))
    alone = json.loads((looked_alone(third, tmp_path) / "attention_distance.json").read_text())
    three = json.loads((tmp_path / "three" / "attention_distance.json").read_text())
    assert list(three) == ["model", "other", "third"]
    assert three["model"] == distance["model"]
    assert three["third"] == alone["third"]
    pairs = {"model against model", "model against other", "model against third"}
    assert set(np.load(tmp_path / "three" / "layer_similarity.npz")) == pairs


def looked_alone(model: Path, tmp_path: Path) -> Path:
    vitrail.look(model, tmp_path / "photos", out=tmp_path / "alone")
    return tmp_path / "alone"


@pytest.mark.parametrize(
    ("compare", "reason"),
    [(("model",), "is the model itself"), (("a", "a"), "named twice"), (tuple("abcdef"), "5 models at most")],
)
def test_models_that_cannot_be_compared_are_refused(compare: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    for name in {*compare, "model"}:
        untrained(tmp_path / name)
    named = tuple(str(tmp_path / name) for name in compare)
    with pytest.raises(ConfigError, match=reason):
        vitrail.look(tmp_path / "model", photos(tmp_path / "photos"), out=tmp_path / "same", compare=named)
    assert not (tmp_path / "same").exists()


def test_where_images_have_labels_each_block_is_asked_for_their_classes(classifier: Path, tmp_path: Path) -> None:
    vitrail.look(classifier, out=tmp_path / "look", count=40)
    (shares,) = json.loads((tmp_path / "look" / "layer_neighbours.json").read_text()).values()
    assert len(shares) == open_checkpoint(classifier)[0].depth
    assert all(0 < share <= 1 and (40 * share) % 1 == pytest.approx(0, abs=1e-9) for share in shares)
    other = untrained(tmp_path / "other")  # of three classes, where the images have ten
    vitrail.look(classifier, out=tmp_path / "beside", count=40, compare=str(other))
    both = json.loads((tmp_path / "beside" / "layer_neighbours.json").read_text())
    assert list(both)[1] == "other"
    assert next(iter(both.values())) == shares
    vitrail.look(classifier, out=tmp_path / "few", count=4)
    assert not (tmp_path / "few" / "layer_neighbours.json").exists()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("vit_ti16", {"explain": "shirt"}, "'shirt' is no class of the model; it knows 3: class 0, class 1, class 2"),
    ("vit_ti16", {"explain": "class 1", "against": "class 1"}, "cannot be set against itself"),
    ("vit_ti16", {"explain": "class 1", "method": ("rollout",), "against": "class 0"}, "the same map for every class"),
    ("vit_ti16", {"explain": "class 1", "cell": 4}, "patches of 8 pixels are taken out whole"),
    ("vit_ti16", {"explain": "class 1", "fill": "meen"}, "did you mean 'mean'"),
    ("vit_ti16", {"explain": "class 1", "permutations": 3}, "is for Shapley values"),
    ("vit_ti16", {"method": ("chefer",)}, "add --explain CLASS"),
    ("vit_ti16", {"sanity": True}, "add --explain CLASS"),
    ("vit_ti16", {"pixel": (40, 2)}, "no pixel 40, 2"),
    ("bit_r50x1", {"explain": "class 1", "method": ("chefer",)}, "needs attention, which a ResNet has not"),
    ("bit_r50x1", {"explain": "class 1", "drop_outliers": True}, "among the patches of a ViT"),
    ("mae_vit_ti16", {"explain": "class 1"}, "--explain means nothing to the model"),
]


@pytest.mark.parametrize(("model", "asked", "reason"), WRONG)
def test_what_has_no_meaning_is_refused_in_one_sentence(
    model: str, asked: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    checkpoint = untrained(tmp_path / "model", model=model)
    with pytest.raises(VitrailError, match=reason) as refused:
        vitrail.look(checkpoint, photos(tmp_path / "photos"), out=tmp_path / "look", **asked)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "look").exists()


def test_a_classifier_cannot_fill_patches(tmp_path: Path) -> None:
    model = untrained(tmp_path / "model")
    with pytest.raises(ConfigError, match="which fills in no pixels"):
        vitrail.look(model, photos(tmp_path / "photos"), out=tmp_path / "look", explain="1", fill=str(model))


def test_the_command_line_knows_every_method() -> None:
    assert get_args(ExplainMethod) == tuple(METHODS)
