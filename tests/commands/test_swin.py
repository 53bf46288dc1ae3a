"""The whole line with a Swin: pretrain it without labels, train it, look into it."""

from pathlib import Path

import pytest

import vitrail
from vitrail.cli import main, parse
from vitrail.errors import ConfigError

SMALL = {"patch_size": 4, "embed_width": 16, "head_width": 8, "depths": (2, 2), "window": 4}
QUICK = {"image_size": 32, "channels": 1, "epochs": 1, "batch_size": 256, "loader": {"workers": 0}}


@pytest.fixture(scope="module", params=["swin_t", "vit_ti16"])
def pretrained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = SMALL if request.param == "swin_t" else {"patch_size": 4, "width": 32, "depth": 2, "num_heads": 2}
    result = vitrail.pretrain(
        "digits",
        model=request.param,
        objective="simmim",
        mask_unit=8,
        architecture=shape,
        out=str(tmp_path_factory.mktemp("simmim") / request.param),
        **{**QUICK, "epochs": 0.5},
    )
    assert set(result.metrics) == {"loss", "neighbour_loss"}
    return result.folder


def test_an_encoder_pretrained_by_simmim_is_fine_tuned_as_it_is(pretrained: Path, tmp_path: Path) -> None:
    model, description = vitrail.open_checkpoint(pretrained)
    assert description.model.head_options["mask_unit"] == 8
    result = vitrail.train("digits", weights=str(pretrained), out=str(tmp_path / "run"), labels=64, **QUICK)
    _, tuned = vitrail.open_checkpoint(result.folder)
    assert f"simmim_{tuned.name}" == description.name
    encoder = vitrail.create_model(tuned.name, weights=pretrained, num_classes=10, **tuned.model.backbone_options)
    fitted = encoder.backbone.state_dict()
    # A ViT that pools the mean has its norm after the pooling.
    shared = {name: tensor for name, tensor in model.encoder.state_dict().items() if name in fitted}
    assert len(shared) >= len(model.encoder.state_dict()) - 2
    assert all(fitted[name].equal(tensor) for name, tensor in shared.items())


def test_looking_at_what_simmim_fills_in(pretrained: Path, tmp_path: Path) -> None:
    written = {path.name for path in vitrail.look(str(pretrained), out=str(tmp_path), count=2, mask_ratio=(0.3, 0.6))}
    assert {"reconstruction.png", "curves.png"} <= written
    report = (pretrained / "report.html").read_text()
    assert "vitrail train digits --weights" in report


def test_looking_at_a_swin_draws_windows_biases_and_attention(tmp_path: Path) -> None:
    result = vitrail.train("digits", model="swin_t", architecture=SMALL, out=str(tmp_path / "run"), labels=64, **QUICK)
    written = {path.name for path in vitrail.look(str(result.folder), count=2, pixel=(5, 30))}
    assert {"attention.png", "windows.png", "bias.png", "curves.png", "look.html"} <= written
    with pytest.raises(ConfigError, match="no pixel 32, 0"):
        vitrail.look(str(result.folder), count=1, pixel=(32, 0))


def test_the_objective_chooses_simmims_recipe() -> None:
    settings = parse("pretrain", ["x", "--objective", "simmim"])
    assert (settings.model, settings.mask_ratio, settings.mask_unit) == ("swin_t", 0.6, 32)


def test_squares_too_large_for_the_images_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pretrain", "digits", "--objective", "simmim", "--image-size", "32"]) == 2
    assert "only 1x1 squares of mask_unit 32" in capsys.readouterr().err
