"""Pretraining by every objective, and what becomes of the encoder."""

from pathlib import Path

import pytest

import vitrail
from tests.commands.conftest import QUICK
from vitrail.cli import main, parse
from vitrail.errors import ConfigError

SHORT = {**QUICK, "epochs": 0.3}


@pytest.fixture(scope="module", params=["color", "downsized", "full"])
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mpp") / request.param
    return vitrail.pretrain("digits", objective="mpp", target=request.param, out=str(out), **SHORT).folder


def test_masked_patch_prediction_leaves_an_encoder_that_is_fine_tuned(predictor: Path, tmp_path: Path) -> None:
    model, description = vitrail.open_checkpoint(predictor)
    assert description.name == "mpp_vit_ti16"
    assert model.config.mask_ratio == 0.5, "the recipe follows the objective"  # type: ignore[union-attr]
    result = vitrail.train("digits", weights=str(predictor), out=str(tmp_path / "run"), epochs=1, channels=1, labels=64)
    _, tuned = vitrail.open_checkpoint(result.folder)
    assert tuned.name == "vit_ti16"
    assert tuned.model.backbone_options["patch_size"] == 8


def test_looking_at_a_patch_predictor_draws_where_its_encoder_looks(predictor: Path, tmp_path: Path) -> None:
    written = {path.name for path in vitrail.look(str(predictor), out=str(tmp_path), count=2)}
    assert {"attention.png", "curves.png"} <= written


def test_one_objective_goes_on_from_the_encoder_of_another(pretrained: Path, tmp_path: Path) -> None:
    options = {**SHORT, "architecture": {**QUICK["architecture"], "positions": "sincos_2d"}}  # type: ignore[dict-item]
    result = vitrail.pretrain("digits", objective="mpp", weights=str(pretrained), out=str(tmp_path / "run"), **options)
    assert "accuracy" in result.metrics


def test_the_objective_chooses_the_recipe_in_python_and_on_the_command_line() -> None:
    assert parse("pretrain", ["x", "--objective", "mpp"]).mask_ratio == 0.5
    assert parse("pretrain", ["x"]).mask_ratio == 0.75
    with pytest.raises(ConfigError, match="'mpp'"):
        vitrail.pretrain("digits", objective="mp")


def test_a_misspelt_objective_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "digits", "--objective", "mppp"]) == 2
    assert "did you mean 'mpp'" in capsys.readouterr().err


def test_an_encoder_that_cannot_be_masked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mpp cannot pretrain a bit_r50x1"):
        vitrail.pretrain("digits", model="bit_r50x1", objective="mpp", image_size=32, out=str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--objective", "mpp", "--mask", "0-3"], "'--mask' for --objective mpp; it belongs to --objective mae"),
        (["--objective", "simmim", "--masking", "block"], "it belongs to --objective mae"),
        (["--mask-unit", "8"], "it belongs to --objective simmim"),
        (["--augment.mixup", "0.8"], "has no option '--augment.mixup'"),
        (["--architecture.patch-size", "64"], "choose 64x64 pixels (--image-size)"),
        (["--architecture.patch-size", "0"], "patch-size must be a number from 1"),
        (["--image-size", "0"], "--image-size must be a number from 1"),
        (["--epochs", "0"], "epochs must be a number above 0"),
        (["--lr", "-1"], "lr must be a number above 0"),
        (["--recipe", "nosuch"], "there is no recipe 'nosuch'. All: mae_small"),
    ],
)
def test_what_would_be_passed_over_or_cannot_work_is_one_sentence(
    words: list[str], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = [] if "--image-size" in words else ["--image-size", "32"]
    small = ["--architecture.width", "32", "--architecture.depth", "1", "--channels", "1"]
    assert main(["pretrain", "digits", "--out", str(tmp_path / "run"), *small, *size, *words]) == 2
    printed = capsys.readouterr().err
    assert answer in printed
    assert printed.count("\n") == 1
