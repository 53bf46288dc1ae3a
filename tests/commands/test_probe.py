"""Measuring an encoder from features computed once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import vitrail
from vitrail.cli import main
from vitrail.commands import train
from vitrail.commands.probe import split
from vitrail.config import replace
from vitrail.data.sources import open_source
from vitrail.errors import ConfigError, DataError
from vitrail.runs import extract_features
from vitrail.runs.split import run_split
from vitrail.settings import ProbeSettings, TrainSettings
from vitrail.tasks.recipes import find_recipe

QUICK: dict[str, Any] = {"epochs": 10, "tune_epochs": 2}


@pytest.fixture(scope="module")
def probed(pretrained: Path) -> Any:
    return vitrail.probe(str(pretrained), "digits", **QUICK)


def test_one_table_holds_neighbours_both_probes_and_tuned_blocks(probed: Any) -> None:
    names = [score.name for score in probed.scores]
    assert names == [
        "20 nearest neighbours",
        "linear probe, rate 0.1 x batch / 256",
        "linear probe, best of 8 rates",
        "last 0.5 block tuned",
        "last 1 block tuned",
    ]
    assert (probed.split, probed.images, probed.labels) == ("test", 300, 1297)
    assert all(0.1 < score.top1 <= 1 for score in probed.scores[2:])


def test_figures_from_kept_features_are_the_same_to_the_digit(
    pretrained: Path, probed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(*_: Any) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(extract_features.Extraction, "_compute", idle)
    again = vitrail.probe(str(pretrained), "digits", **QUICK)
    assert [(s.name, s.top1, s.chosen_by, s.lr) for s in again.scores] == [
        (s.name, s.top1, s.chosen_by, s.lr) for s in probed.scores
    ]


def test_the_best_rate_is_the_one_that_the_validation_images_chose(probed: Any, pretrained: Path) -> None:
    settings: dict[str, Any] = {"epochs": QUICK["epochs"], "tune_blocks": ()}
    single = [vitrail.probe(str(pretrained), "digits", **settings, rates=(rate,)) for rate in (0.1, 1, 30)]
    chosen = max(single, key=lambda found: found.scores[-1].chosen_by or 0.0).scores[-1].lr
    together = vitrail.probe(str(pretrained), "digits", **settings, rates=(0.1, 1, 30))
    assert together.scores[-1].lr == chosen


def test_neighbours_of_kept_features_are_scikit_learns(pretrained: Path, probed: Any) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    source = open_source("digits")
    assert source.train is not None
    assert source.test is not None
    sizes = {"digits train": len(source.train), "digits test": len(source.test)}
    kept = {}
    for about in (pretrained / "features").glob("*/about.json"):
        known, values = json.loads(about.read_text()), np.load(about.parent / "values.npy")[0]
        # Other tests of this run keep features of fewer images there.
        if known["what"].startswith("embed") and len(values) == sizes.get(known["data"]):
            kept[known["data"]] = values
    weights: Any = lambda distance: np.exp((1 - distance) / 0.07)  # noqa: E731
    theirs = KNeighborsClassifier(20, metric="cosine", weights=weights)
    theirs.fit(kept["digits train"], source.train.labels)
    accuracy = theirs.score(kept["digits test"], source.test.labels)  # type: ignore[arg-type]
    assert probed.scores[0].top1 == pytest.approx(accuracy, abs=0.004)


def test_the_command_prints_one_json_object_and_nothing_else(
    pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["probe", str(pretrained), "digits", "--json", "--epochs", "3", "--labels", "100", "--tune-blocks", "1"]
    assert main([*words, "--tune-epochs", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["labels"] == 100
    assert len(found["scores"]) == 4


@pytest.mark.parametrize("name", ["swin_t", "bit_r50x1"])
def test_any_backbone_is_probed(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape: dict[str, Any] = (
        {"embed_width": 32, "depths": (1, 1, 1, 1)} if name == "swin_t" else {"depths": (1, 1, 1, 1)}
    )
    base = find_recipe(TrainSettings, "scratch")
    changes = {"model": name, "epochs": 0.1, "labels": 64, "image_size": 32, "channels": 1, "architecture": shape}
    settings = replace(base, data="digits", out=str(tmp_path / "run"), **changes)
    run = train.learn(settings, run_split(settings))
    found = vitrail.probe(str(run.folder), "digits", epochs=2, labels=100)
    model: Any = vitrail.open_checkpoint(run.folder)[0]
    assert found.width == model.backbone.width
    assert len(found.scores) == 3
    assert "no blocks are tuned" in capsys.readouterr().out


def test_a_bare_weights_file_is_probed_and_its_features_lie_where_they_are_told_to(tmp_path: Path) -> None:
    path, out = tmp_path / "model.safetensors", tmp_path / "kept"
    torch.manual_seed(0)
    save_file(vitrail.create_model("vit_ti16", num_classes=5, image_size=32).state_dict(), path)
    settings: dict[str, Any] = {"image_size": 32, "tune_blocks": (0.5,), "tune_epochs": 1, "epochs": 2, "labels": 64}
    found = vitrail.probe(str(path), "digits", out=str(out), **settings)
    assert found.width == 192
    kinds = {json.loads(about.read_text())["what"] for about in (out / "features").glob("*/about.json")}
    assert kinds == {"embed-own", "tokens-0.5"}


def test_settings_are_never_chosen_by_the_images_that_are_measured() -> None:
    source = open_source("digits")
    settings = ProbeSettings("", "digits")
    parts = split(source, settings)
    assert (parts.split, len(parts.choose), len(parts.test)) == ("test", 200, 300)
    parts = split(replace(source, test=None), settings)
    assert parts.split == "validation"
    assert parts.test.names == source.validation.names  # type: ignore[union-attr]
    assert not set(parts.choose.names) & {*parts.train.names, *parts.test.names}
    with pytest.raises(DataError, match="held-out"):
        split(replace(source, test=None, validation=None), settings)


@pytest.mark.parametrize("asked", [{"neighbours": 0}, {"epochs": 0}, {"temperature": 0.0}, {"rates": (1.0, 0.0)}])
def test_a_probe_that_measures_nothing_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        vitrail.probe("nowhere", "digits", **asked)


def test_a_probe_says_what_it_decided_once_and_nothing_of_a_folder_that_does_not_stay(
    pretrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--epochs", "2", "--labels", "100", "--tune-blocks", "1", "--tune-epochs", "1"]
    assert main(["probe", str(pretrained), "digits", *words]) == 0
    said = capsys.readouterr().out
    assert said.count(f", as in {pretrained}") == 1
    assert "run folder" not in said
    assert "last 1 block tuned" in said
