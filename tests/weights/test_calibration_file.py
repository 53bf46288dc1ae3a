"""What is stored of when a classifier can be believed comes back as it was, and is never taken for another's."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vitrail.config import Preprocessing
from vitrail.errors import WeightsError
from vitrail.trust.reliability import learn_reliability
from vitrail.weights.calibration_file import (
    FILE,
    VALUES,
    LearnedFrom,
    StoredReliability,
    calibration_folder,
    read_calibration,
    write_calibration,
)
from vitrail.weights.hashes import tensors_sha256

PREPARED = Preprocessing(image_size=(32, 32))


def learned(images: int = 150, classes: int = 3, seed: int = 4) -> StoredReliability:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(images, classes)) * 3, rng.integers(classes, size=images)
    known = learn_reliability(logits, labels, rng.normal(size=(images, 6)))
    return StoredReliability(known, LearnedFrom("photos", "validation", images), max_error=0.1, coverage=0.9)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, nn.Module, StoredReliability]:
    """A model of somebody else's called m.safetensors, and the folder of what is stored of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.safetensors").touch()
    model, known = nn.Linear(6, 3), learned()
    folder = calibration_folder("m.safetensors")
    write_calibration(folder, known, model, PREPARED)
    return folder, model, known


def test_everything_comes_back_to_the_last_bit(stored: tuple[Path, nn.Module, StoredReliability]) -> None:
    folder, model, known = stored
    assert folder == Path("runs/calibration-m")
    found = read_calibration("m.safetensors", model, PREPARED)
    assert found is not None
    assert (found.source, found.max_error, found.coverage) == (known.source, 0.1, 0.9)
    before, after = known.reliability, found.reliability
    assert (after.temperature, after.calibration) == (before.temperature, before.calibration)
    for name in ("confidence", "right", "scores"):
        assert np.array_equal(getattr(after, name), getattr(before, name))
    assert before.likeness is not None
    assert after.likeness is not None
    assert np.array_equal(after.likeness.whitening, before.likeness.whitening)
    assert after.likeness.limit == before.likeness.limit
    assert after.threshold(0.4) == before.threshold(0.4)


def test_the_json_says_what_another_program_needs(stored: tuple[Path, nn.Module, StoredReliability]) -> None:
    folder, model, known = stored
    about = json.loads((folder / FILE).read_text())
    reliability = known.reliability
    assert about["format"] == 1
    assert about["weights"] == tensors_sha256(model.state_dict())
    assert about["learned_from"]["images"] == 150
    assert about["temperature"]["value"] == reliability.temperature.value
    assert about["calibration"]["after"]["ece"] == reliability.calibration.after.ece
    assert about["threshold"]["value"] == reliability.threshold(0.1).value
    assert about["sets"] == {"coverage": 0.9, "limit": reliability.set_limit(0.9)}
    assert about["unlike"]["images"] == 150


def test_what_few_images_cannot_tell_is_null_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.npz").touch()
    model = nn.Linear(2, 2)
    write_calibration(calibration_folder("m.npz"), learned(images=1), model, PREPARED)
    about = json.loads((calibration_folder("m.npz") / FILE).read_text())
    assert (about["threshold"]["value"], about["sets"]["limit"], about["unlike"]) == (None, None, None)
    found = read_calibration("m.npz", model, PREPARED)
    assert found is not None
    assert found.reliability.set_limit(0.9) == math.inf
    assert found.reliability.likeness is None


def test_other_weights_and_other_preparation_are_refused(stored: tuple[Path, nn.Module, StoredReliability]) -> None:
    _, model, _ = stored
    with torch.no_grad():
        model.bias[1] += 1e-6
    with pytest.raises(WeightsError, match=r"with other weights than it has now; vitrail evaluate m\.safetensors DATA"):
        read_calibration("m.safetensors", model, PREPARED)
    with torch.no_grad():
        model.bias[1] -= 1e-6


def test_images_prepared_otherwise_are_refused(stored: tuple[Path, nn.Module, StoredReliability]) -> None:
    _, model, _ = stored
    with pytest.raises(WeightsError, match=r"images prepared otherwise \(crop_fraction 0\.875, now 1\.0\)"):
        read_calibration("m.safetensors", model, replace(PREPARED, crop_fraction=1.0))


def test_damage_is_said_and_never_believed(stored: tuple[Path, nn.Module, StoredReliability]) -> None:
    folder, model, _ = stored
    text, values = (folder / FILE).read_text(), (folder / VALUES).read_bytes()

    def refused() -> str:
        with pytest.raises(WeightsError, match="is damaged") as caught:
            read_calibration("m.safetensors", model, PREPARED)
        return str(caught.value)

    (folder / VALUES).write_bytes(values[:-1] + bytes([values[-1] ^ 1]))
    assert "not the file it was written with" in refused()
    (folder / VALUES).unlink()
    refused()
    (folder / VALUES).write_bytes(values)
    for wrong in ("{", "[]", "null", text.replace('"format": 1', '"format": 2')):
        (folder / FILE).write_text(wrong)
        refused()
    about = json.loads(text)
    for key in about:
        (folder / FILE).write_text(json.dumps({k: v for k, v in about.items() if k != key}))
        refused()
    about["temperature"]["value"] = -1.0
    (folder / FILE).write_text(json.dumps(about))
    assert "do not fit together" in refused()


def test_nothing_stored_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.pth").touch()
    assert read_calibration("other.pth", nn.Linear(2, 2), PREPARED) is None


def test_files_of_the_first_format_still_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(
        Path(__file__).parents[1] / "fixtures" / "calibration_format_1", tmp_path / "runs" / "calibration-m"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.pth").touch()
    model = nn.Linear(6, 3)
    with torch.no_grad():
        model.weight.copy_(torch.arange(18.0).reshape(3, 6))
        model.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    found = read_calibration("m.pth", model, PREPARED)
    assert found is not None
    assert (found.max_error, found.coverage) == (0.25, 0.9)
    assert found.source == LearnedFrom("photos", "validation", 120, 2, "bf16")
    known = found.reliability
    assert known.temperature.value == 1.8587666833792689
    assert (known.threshold(0.25).value, known.threshold(0.25).wrong) == (0.4058632460190856, 11)
    assert (known.set_limit(0.9), known.set_limit(0.8)) == (0.57501033279311, 0.48440759486981055)
    assert known.likeness is not None
    assert known.likeness.distances(np.ones((1, 6)))[0] == pytest.approx(1.06346536, rel=1e-6)
    assert known.likeness.limit == 1.7602499602152522
