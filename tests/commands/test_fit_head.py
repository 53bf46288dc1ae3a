"""`vitrail train --recipe probe`: a head on frozen features, as an ordinary run."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import vitrail
from tests.commands.foreign import timm_file
from vitrail.errors import VitrailError
from vitrail.weights.open_any import open_any

pytest.importorskip("timm")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return timm_file(tmp_path_factory.mktemp("weights") / "theirs.safetensors", classes=5)


@pytest.fixture(scope="module")
def run(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = str(tmp_path_factory.mktemp("runs") / "probe")
    return vitrail.train("digits", weights=str(encoder), recipe="probe", out=out, normalization="imagenet").folder


def test_it_is_a_run_that_evaluates_to_what_its_training_said(run: Path):
    found = vitrail.evaluate(run, "digits", split="validation", precision="fp32")
    assert found.right > 0.5 * found.images  # of ten classes, by a random encoder
    assert vitrail.predict(run, [torch.zeros(3, 8, 8, dtype=torch.uint8)])[0].label in set("0123456789")


def test_the_encoder_is_the_files_bit_for_bit(encoder: Path, run: Path):
    theirs, own = open_any(encoder).model.state_dict(), open_any(run).model.state_dict()
    names = [name for name in own if name.startswith("backbone.")]
    assert names
    assert all(torch.equal(own[name], theirs[name]) for name in names)


def test_the_head_is_what_was_fitted_and_the_runs_one_step_did_not_move_it(run: Path, monkeypatch, tmp_path, encoder):
    from vitrail.tasks.classification.fitted import FittedClassification

    kept = {}
    before = FittedClassification.set_head

    def noting(self, weight, bias):
        kept.update(weight=weight.clone(), bias=bias.clone())
        before(self, weight, bias)

    monkeypatch.setattr(FittedClassification, "set_head", noting)
    again = vitrail.train(
        "digits", weights=str(encoder), recipe="probe", out=str(tmp_path / "again"), normalization="imagenet"
    )
    step = next((again.folder / "checkpoints").glob("step_*"))
    state = load_file(step / "model.safetensors")
    assert torch.equal(state["head.weight"], kept["weight"])
    assert torch.equal(state["head.bias"], kept["bias"])
    first = load_file(next((run / "checkpoints").glob("step_*")) / "model.safetensors")
    assert torch.equal(state["head.weight"], first["head.weight"])


def test_without_an_encoder_and_with_settings_of_learning_it_is_refused(encoder: Path, tmp_path: Path):
    with pytest.raises(VitrailError, match="--weights"):
        vitrail.train("digits", recipe="probe", out=str(tmp_path / "a"))
    for settings in ({"epochs": 3}, {"lr": 0.1}, {"augment": {"mixup": 0.2}}, {"tune_blocks": 1}):
        with pytest.raises(VitrailError, match="fits the head at once"):
            vitrail.train("digits", recipe="probe", weights=str(encoder), out=str(tmp_path / "b"), **settings)


DATA = Path(os.environ.get("VITRAIL_DATA", "/nowhere"))
DEIT = DATA / "weights" / "deit_tiny_patch16_224.safetensors"


@pytest.mark.slow
@pytest.mark.skipif(not DEIT.is_file(), reason="VITRAIL_DATA does not point at the shared data")
def test_on_clothing_from_deit_it_tells_17_of_20_photos_right(tmp_path: Path):
    out = str(tmp_path / "probe")
    vitrail.train(str(DATA / "clothing"), weights=str(DEIT), recipe="probe", out=out)
    assert vitrail.evaluate(out, DATA / "clothing").top1 >= 0.85
