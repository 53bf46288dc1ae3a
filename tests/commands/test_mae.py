"""Every way to pretrain a masked autoencoder, from the command to the panels."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import vitrail
from tests.commands.conftest import QUICK, TINY
from vitrail.cli import main, parse
from vitrail.errors import ConfigError, WeightsError
from vitrail.models.mae import MAE
from vitrail.settings import PretrainSettings, peak_lr
from vitrail.tasks.mae.recipes import MAE_AUGMENTS
from vitrail.tasks.mae.targets import tokenizer_named
from vitrail.tasks.recipes import find_recipe

LIGHT: dict[str, Any] = {
    **QUICK,
    "epochs": 0.5,
    "decoder_width": 32,
    "decoder_depth": 1,
    "architecture": {**TINY, "patch_size": 4},
}


def pretrain(folder: Path, **changes: Any) -> Path:
    return vitrail.pretrain("digits", out=str(folder), **{**LIGHT, **changes}).folder


def opened(folder: Path) -> MAE:
    model, _ = vitrail.open_checkpoint(folder)
    assert isinstance(model, MAE)
    return model


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(tmp_path_factory.mktemp("mae") / "tokens", target="tokens", vocabulary=16)


@pytest.fixture(scope="module")
def coefficients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(tmp_path_factory.mktemp("mae") / "pca", target="pca", components=6)


def test_a_tokenizer_is_part_of_the_checkpoint_and_of_the_run(tokens: Path) -> None:
    model = opened(tokens)
    stored = load_file(tokens / "target.safetensors")["tokenizer.centres"]
    assert stored.shape == (16, 16)
    assert torch.equal(model.decoder.target.tokenizer.centres, stored)  # type: ignore[union-attr]
    metrics = json.loads((tokens / "summary.json").read_text())["best"]
    assert {"loss", "accuracy", "neighbour_accuracy"} <= metrics.keys()


def test_components_are_part_of_the_checkpoint(coefficients: Path) -> None:
    target = opened(coefficients).decoder.target
    assert torch.equal(target.components, load_file(coefficients / "target.safetensors")["components"])  # type: ignore
    torch.testing.assert_close(target.components @ target.components.T, torch.eye(6), rtol=1e-4, atol=1e-4)  # type: ignore


def test_panels_of_every_target_are_drawn(tokens: Path, coefficients: Path, tmp_path: Path) -> None:
    for run in (tokens, coefficients):
        written = {path.name for path in vitrail.look(str(run), out=str(tmp_path), count=2)}
        assert {"reconstruction.png", "mask_ratios.png", "maskings.png", "curves.png"} <= written


def test_what_one_run_fitted_another_one_takes(tokens: Path, tmp_path: Path) -> None:
    taken = pretrain(tmp_path / "run", target="tokens", vocabulary=16, target_from=str(tokens))
    assert (taken / "target.safetensors").read_bytes() == (tokens / "target.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"vocabulary": 17}, "fitted for vocabulary 16; this run has 17"),
        ({"vocabulary": 16, "architecture": {**TINY, "patch_size": 8}}, "fitted for patch_size 4; this run has 8"),
        ({"target": "pca"}, "fitted for target tokens; this run has pca"),
    ],
)
def test_a_target_of_other_patches_is_refused(
    tokens: Path, tmp_path: Path, changes: dict[str, Any], answer: str
) -> None:
    with pytest.raises(WeightsError, match=answer):
        pretrain(tmp_path / "run", **{"target": "tokens", "target_from": str(tokens), **changes})


def test_a_file_that_is_no_target_is_refused(tokens: Path, tmp_path: Path) -> None:
    (tmp_path / "target.safetensors").write_bytes(b"nothing")
    for name, path, answer in (("a", tmp_path, "holds no target"), ("b", tmp_path / "none", "does not exist")):
        with pytest.raises(WeightsError, match=answer):
            pretrain(tmp_path / name, target="pca", target_from=str(path))
    with pytest.raises(ConfigError, match="pixels need nothing"):
        pretrain(tmp_path / "c", target_from=str(tokens))


class Dark(torch.nn.Module):
    """A user's tokenizer: dark patches and bright ones."""

    vocabulary = 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (torch.nn.functional.avg_pool2d(images, 4).flatten(1) > 0).long()


class Sparse(Dark):
    """A token for every second patch only."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)[:, ::2]


def test_a_tokenizer_of_the_users_own_is_plugged_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = pretrain(tmp_path / "run", target="tokens", tokenizer="tests.commands.test_mae:Dark")
    assert opened(run).config.vocabulary == 2
    assert "not part of vitrail" in capsys.readouterr().out, "its tokens cannot be drawn, which is said"
    result = vitrail.train("digits", weights=str(run), out=str(tmp_path / "fine"), epochs=1, channels=1, labels=64)
    assert result.folder.is_dir()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("Dark", "MODULE:NAME"),
        ("no.such.module:Dark", "cannot be made"),
        ("tests.commands.test_mae:Bright", "cannot be made"),
        ("json:JSONDecoder", "no tokenizer"),
        ("tests.commands.test_mae:Sparse", r"needs \(1, 64\)"),
    ],
)
def test_what_is_no_tokenizer_is_refused(name: str, answer: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=answer):
        pretrain(tmp_path / "run", target="tokens", tokenizer=name)


def test_a_run_that_goes_on_keeps_the_tokens_it_began_with(tokens: Path, tmp_path: Path) -> None:
    """Without its checkpoints a run begins anew, and learns the same weights."""
    run = pretrain(tmp_path / "run", target="tokens", vocabulary=16)
    assert (run / "target.safetensors").read_bytes() == (tokens / "target.safetensors").read_bytes()
    for name, tensor in opened(tokens).state_dict().items():
        assert torch.equal(tensor, opened(run).state_dict()[name]), name


@pytest.mark.parametrize(
    "changes",
    [
        {"masking": "block", "mask_ratio": 0.6, "normalize_target": False, "image_size": (32, 48)},
        {"masking": "grid", "mask_tokens_in": "encoder"},
        {"mask": "0-20,40", "architecture": {**TINY, "patch_size": 4, "pool": "mean", "class_token": False}},
    ],
)
def test_every_variant_pretrains_and_is_fine_tuned(changes: dict[str, Any], tmp_path: Path) -> None:
    run = pretrain(tmp_path / "run", **{"epochs": 1, **changes})
    assert json.loads((run / "summary.json").read_text())["best"]["loss"] < 3
    assert (run / "figures" / "reconstruction.png").is_file()
    tuned = vitrail.train("digits", weights=str(run), out=str(tmp_path / "fine"), epochs=1, channels=1, labels=64)
    _, description = vitrail.open_checkpoint(tuned.folder)
    if "architecture" in changes:
        assert description.model.backbone_options["class_token"] is False


def test_a_panel_is_drawn_while_the_run_goes_on_and_changes_nothing(tmp_path: Path) -> None:
    drawing = pretrain(tmp_path / "a", epochs=1, run={"draw_every": 0.25, "evaluate_every": 0.5})
    silent = pretrain(tmp_path / "b", epochs=1)
    names = sorted(path.name for path in (drawing / "figures").glob("reconstruction_0*.png"))
    assert len(names) == 3, "the last one is drawn at the end anyway"
    for name, tensor in opened(drawing).state_dict().items():
        assert torch.equal(tensor, opened(silent).state_dict()[name]), name


@pytest.mark.slow
def test_a_compiled_run_learns_and_its_checkpoint_opens_as_any_other(tmp_path: Path) -> None:
    run = pretrain(tmp_path / "run", run={"compile": True, "device": "cpu"})
    plain = pretrain(tmp_path / "plain", run={"device": "cpu"})
    compiled, eager = (json.loads((r / "summary.json").read_text())["best"]["loss"] for r in (run, plain))
    assert compiled == pytest.approx(eager, rel=1e-2)
    assert opened(run).state_dict().keys() == opened(plain).state_dict().keys()


def test_look_draws_what_is_asked_for_and_no_more(coefficients: Path, tmp_path: Path) -> None:
    asked = {"mask_ratio": (0.75, 0.85), "masking": ("random", "block", "grid"), "count": 1}
    written = vitrail.look(str(coefficients), out=str(tmp_path / "a"), **asked)
    assert not any(path.name in ("mask_ratios.png", "maskings.png") for path in written)
    one = vitrail.look(str(coefficients), out=str(tmp_path / "b"), mask="0-20", count=1)
    tall, short = (Image.open(next(p for p in paths if p.name == "reconstruction.png")) for paths in (written, one))
    assert 3 < tall.height / short.height < 5, "two ratios of two kinds, and the grid once"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--mask-ratio", "0"], "must be a number above 0 and below 1"),
        (["--mask-ratio", "0.99"], "leaves 0 of 64"),
        (["--masking", "grid", "--mask-ratio", "0.5"], "one of every four"),
        (["--mask", "64"], "patches 0 to 63"),
        (["--image-size", "30"], "choose 28x28 or 32x32 pixels"),
        (["--image-size", "33", "32"], "choose 32x32 or 36x36 pixels"),
        (["--target", "color"], "target must be one of"),
        (["--target", "normalized", "--no-normalize-target"], "contradict"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(
    words: list[str], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = [] if "--image-size" in words else ["--image-size", "32"]
    small = ["--architecture.patch-size", "4", "--architecture.width", "32", "--channels", "1", "--epochs", "1"]
    assert main(["pretrain", "digits", "--out", str(tmp_path / "run"), *size, *small, *words]) == 2
    printed = capsys.readouterr().err
    assert answer in printed
    assert printed.count("\n") == 1


def test_the_published_rate_follows_the_batch() -> None:
    published = find_recipe(PretrainSettings, "mae_published")
    assert peak_lr(published) == pytest.approx(2.4e-3)
    assert peak_lr(parse("pretrain", ["x", "--recipe", "mae_published", "--batch-size", "256"])) == 1.5e-4
    assert peak_lr(parse("pretrain", ["x", "--lr", "3e-4"])) == 3e-4


def test_the_augmentations_of_the_paper_differ_as_it_says() -> None:
    none, fixed, random, jittered = MAE_AUGMENTS.values()
    assert (none.crop, none.flip) == ("none", 0.0)
    assert fixed.crop == "fixed"
    assert random.crop_scale == (0.2, 1.0)
    assert random.flip == fixed.flip == 0.5
    assert jittered.color_jitter > 0 == random.color_jitter


def test_a_tokenizer_may_lie_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer_of_mine.py").write_text("from tests.commands.test_mae import Dark\n")
    before = list(sys.path)
    with pytest.raises(ConfigError, match="cannot be made"):
        tokenizer_named("tokenizer_of_mine:Dark")
    monkeypatch.chdir(tmp_path)
    assert tokenizer_named("tokenizer_of_mine:Dark").vocabulary == 2
    assert sys.path == before
