"""What evaluate says of a classifier: against scikit-learn and loops over the model's own answers, and the page."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from scipy import optimize, special
from sklearn import metrics

import vitrail
from tests.commands.data_sets import Record, class_folders, records
from tests.commands.untrained import NAMES, untrained
from tests.support.forks import finish_together
from vitrail.cli import main
from vitrail.config import to_json
from vitrail.errors import ConfigError, VitrailError
from vitrail.runs.evaluation_folder import FIGURES
from vitrail.serialize import dumps
from vitrail.tasks.classification.evaluation import answers as answers_module
from vitrail.tasks.classification.metrics import Evaluation

SIDES = (20, 32, 48, 64)


def data_of(folder: Path, per_class: int = 30, names: tuple[str, ...] = NAMES, **options: Any) -> Path:
    """Write images of four sizes in class folders."""
    made = records(per_class, names, **options)
    sized = tuple(Record(r.split, r.label, r.name, r.seed, SIDES[n % len(SIDES)]) for n, r in enumerate(made))
    return class_folders(folder, sized)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _with_head(untrained(tmp_path_factory.mktemp("model") / "run", seed=11), NAMES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_of(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def found(model: Path, data: Path) -> Evaluation:
    return vitrail.evaluate(model, data, device="cpu", workers=0, precision="fp32")


@pytest.fixture(scope="module")
def asked(model: Path, found: Evaluation, data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of the images one by one, as `open_model` says them, and their labels."""
    opened = vitrail.open_model(model, device="cpu")
    rows = [opened.predict(Image.open(data / name)).to_dict()["probabilities"] for name in found.files]
    labels = np.array([NAMES.index(Path(name).parts[-2]) for name in found.files])
    return np.array([[row[name] for name in NAMES] for row in rows]), labels


def test_accuracy_f1_auroc_and_loss_are_scikit_learns_of_the_same_probabilities(
    found: Evaluation, asked: tuple[np.ndarray, np.ndarray]
) -> None:
    shares, labels = asked
    said = shares.argmax(axis=1)
    assert found.top1 == pytest.approx(metrics.accuracy_score(labels, said))
    assert found.loss == pytest.approx(metrics.log_loss(labels, shares), abs=1e-5)
    assert found.mean_class == pytest.approx(metrics.balanced_accuracy_score(labels, said))
    estimates = {name: one.value for name, one in found.estimates.items()}
    assert estimates["f1"] == pytest.approx(metrics.f1_score(labels, said, average="macro", zero_division=0))
    areas = [metrics.roc_auc_score(labels == k, shares[:, k]) for k in range(len(NAMES))]
    assert [one.auroc.value for one in found.per_class] == pytest.approx(areas, abs=1e-3)
    assert estimates["auroc"] == pytest.approx(np.mean(areas), abs=1e-3)
    assert np.array(found.confusion).tolist() == metrics.confusion_matrix(labels, said, labels=range(3)).tolist()
    assert estimates["top1"] == found.top1
    assert estimates["loss"] == found.loss


def test_calibration_before_is_that_of_a_loop_over_bins(
    found: Evaluation, asked: tuple[np.ndarray, np.ndarray]
) -> None:
    shares, labels = asked
    error, bins = 0.0, 15
    for number in range(bins):
        inside = [i for i, row in enumerate(shares) if number / bins < row.max() <= (number + 1) / bins]
        if inside:
            right = np.mean([shares[i].argmax() == labels[i] for i in inside])
            error += len(inside) / len(labels) * abs(right - np.mean([shares[i].max() for i in inside]))
    assert found.calibration is not None
    before = found.calibration.before
    assert before.ece == pytest.approx(error, abs=1e-5)
    assert before.brier == pytest.approx(((shares - np.eye(3)[labels]) ** 2).sum(axis=1).mean(), abs=1e-5)
    assert before.nll == pytest.approx(metrics.log_loss(labels, shares), abs=1e-5)
    assert before.accuracy == pytest.approx(found.top1)


def test_the_temperature_is_fitted_to_validation_images_and_applied_to_those_measured(
    model: Path, tmp_path: Path
) -> None:
    data_of(tmp_path, 20, split="validation", first=400)
    data_of(tmp_path, 25, split="test", first=900)
    found = vitrail.evaluate(model, tmp_path, device="cpu", workers=0, precision="fp32")
    others = vitrail.evaluate(model, tmp_path, device="cpu", workers=0, precision="fp32", split="validation")
    assert found.split == "test"
    assert others.answers is not None
    assert found.answers is not None

    def likelihood(temperature: float, answers: Any) -> float:
        shares = special.log_softmax(answers.logits.astype(float) / temperature, axis=1)
        return float(-shares[np.arange(len(shares)), answers.labels].mean())

    best = optimize.minimize_scalar(likelihood, bounds=(0.05, 20), args=(others.answers,), method="bounded")
    assert found.calibration is not None
    if found.calibration.temperature is None:  # the likelihood may be best at a limit
        assert not 0.06 < best.x < 19
    else:
        assert found.calibration.temperature == pytest.approx(best.x, rel=1e-3)
        assert found.calibration.after is not None
        after = likelihood(found.calibration.temperature, found.answers)
        assert found.calibration.after.nll == pytest.approx(after, abs=1e-5)
    assert "60 validation images" in found.calibration.fitted_on or "No temperature" in found.calibration.fitted_on


def test_sizes_and_brightness_are_those_of_the_files_and_accuracies_those_of_a_loop(
    found: Evaluation, data: Path
) -> None:
    answers = found.answers
    assert answers is not None
    for place, name in enumerate(found.files):
        with Image.open(data / name) as image:
            assert answers.side[place] == pytest.approx(math.sqrt(image.width * image.height))
            if image.size == (32, 32):  # shown as it is, but for the crop
                values = np.asarray(image, dtype=float) / 255 @ (0.299, 0.587, 0.114)
                assert answers.brightness[place] == pytest.approx(values.mean(), abs=0.03)
    assert [(part.low, part.high) for part in found.by_size] == [(side, side) for side in SIDES]
    for part in found.by_size:
        inside = answers.side == part.low
        assert part.images == inside.sum()
        assert part.accuracy.value == pytest.approx(answers.right[inside].mean())
    assert sum(part.images for part in found.by_brightness) == found.images


def test_the_surest_errors_are_the_wrong_answers_of_highest_probability(
    found: Evaluation, asked: tuple[np.ndarray, np.ndarray]
) -> None:
    shares, labels = asked
    wrong = [i for i in range(len(labels)) if shares[i].argmax() != labels[i]]
    wrong.sort(key=lambda i: -shares[i].max())
    assert found.surest_errors[0].file == found.files[wrong[0]]
    assert [one.probability for one in found.surest_errors] == pytest.approx(
        [shares[i].max() for i in wrong[:24]], abs=1e-5
    )


def test_the_command_writes_a_page_and_data_from_which_its_figures_can_be_computed_again(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["evaluate", str(model), str(data), "--workers", "0", "--device", "cpu", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert json.loads((out / "evaluate.json").read_text()) == printed
    names = {"confusion", "classes", "reliability", "surest_errors", "conditions"}
    assert {path.stem for path in out.glob("*.png")} == names
    assert {path.stem for path in out.iterdir()} == names | {"evaluate", "predictions"}
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == printed["images"]
    assert sum(row["label"] == row["predicted"] for row in rows) / len(rows) == pytest.approx(printed["top1"])
    assert np.mean([float(row["loss"]) for row in rows]) == pytest.approx(printed["loss"], abs=1e-4)
    assert all(sum(float(row[f"p({name})"]) for name in NAMES) == pytest.approx(1, abs=1e-4) for row in rows)
    page = (out / "evaluate.html").read_text(encoding="utf-8")
    assert page.index("accuracy") < page.index("Confusion")
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_goes_into_the_run_unless_none_is_asked_for(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = untrained(tmp_path / "run")
    words = ["evaluate", str(run), str(data), "--workers", "0"]
    assert main([*words, "--no-page"]) == 0
    assert not (run / "evaluate").exists()
    assert main([*words, "--no-page", "--out", str(tmp_path / "x")]) == 2
    assert "--no-page writes none" in capsys.readouterr().err
    assert main([*words, "--out", str(data / "inside")]) == 2
    assert main(words) == 0
    assert (run / "evaluate" / "evaluate.html").is_file()
    assert str(run / "evaluate" / "evaluate.html") in capsys.readouterr().out


def strict(value: Any) -> Any:
    """Read back what JSON holds, and refuse what is no number."""
    return json.loads(json.dumps(json.loads(dumps(to_json(value))), allow_nan=False))


def numbers_of(value: Any) -> list[float]:
    """Return all floats in a tree of dataclasses, which may hold None but no nan."""
    if isinstance(value, float):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [number for part in parts for number in numbers_of(part)]


@pytest.mark.parametrize("kind", ["one image", "one image a class", "a class missing", "two classes", "damaged"])
def test_the_smallest_data_sets_give_a_page_without_a_wrong_number(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {"one image": 1, "a class missing": 2, "two classes": 2}.get(kind, 3)
    known = 2 if kind == "two classes" else 3
    per_class = 1 if kind.startswith("one image") else 4
    model = _with_head(untrained(tmp_path / "model"), NAMES[:known])
    root = data_of(tmp_path / "data", per_class, tuple(NAMES[:classes]))
    if kind == "damaged":
        for file in sorted(root.rglob("*.bmp"))[::2]:
            file.write_bytes(b"BM damaged")
    out = tmp_path / "out"
    assert main(["evaluate", str(model), str(root), "--workers", "0", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    content = json.loads((out / "evaluate.json").read_text())
    assert "NaN" not in (out / "evaluate.json").read_text()
    found = vitrail.evaluate(model, root, workers=0)
    assert all(math.isfinite(number) for number in numbers_of(to_json(found)))
    assert strict(found)["images"] == content["images"]
    assert "fewer than 10 images here" in said
    assert "No temperature: " in said
    assert ("left out: 6 of 12 images" in said) == (kind == "damaged")
    if kind == "a class missing":
        assert found.per_class[2].recall.value is None
        assert "of 3 classes 1 has no images here: class 2" in said
        assert ("named although no image is of it" in said) == (found.per_class[2].said > 0)
    assert (out / "evaluate.html").is_file()


def test_more_scores_than_are_kept_leave_out_what_needs_them_and_say_so(
    model: Path, data: Path, found: Evaluation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(answers_module, "MOST_SCORES", 100)
    few = vitrail.evaluate(model, data, device="cpu", workers=0, precision="fp32", out=str(tmp_path / "out"))
    assert few.calibration is None
    assert few.per_class[0].auroc.value is few.estimates["auroc"].value is None
    assert any("no AUROC and no calibration" in note for note in few.notes)
    assert (few.top1, few.loss, few.estimates["f1"]) == (found.top1, found.loss, found.estimates["f1"])


def test_two_processes_say_exactly_what_one_says_and_write_one_page(model: Path, data: Path, tmp_path: Path) -> None:
    words = ["--json", "--workers", "0", "--device", "cpu", "--precision", "fp32", "--batch-size", "1"]
    out = str(tmp_path / "out")
    said = finish_together(2, ["evaluate", str(model), str(data), *words, "--out", out])
    one = vitrail.evaluate(model, data, workers=0, device="cpu", precision="fp32", batch_size=1)
    assert json.loads(said) == strict(one)
    assert json.loads((tmp_path / "out" / "evaluate.json").read_text()) == json.loads(said)


def test_another_model_is_set_beside_on_the_same_images(
    model: Path, data: Path, found: Evaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = untrained(tmp_path / "other", seed=5)
    theirs = vitrail.evaluate(other, data, device="cpu", workers=0, precision="fp32")
    beside = vitrail.evaluate(model, data, device="cpu", workers=0, precision="fp32", compare=str(other)).comparison
    assert beside is not None
    assert theirs.answers is not None
    assert found.answers is not None
    ours = dict(zip(found.files, found.answers.right, strict=True))
    right = dict(zip(theirs.files, theirs.answers.right, strict=True))
    assert beside.only_first == tuple(name for name in found.files if ours[name] and not right[name])
    assert beside.only_second == tuple(name for name in found.files if right[name] and not ours[name])
    assert beside.paired.difference.value == pytest.approx(found.top1 - theirs.top1)
    same = vitrail.evaluate(model, data, device="cpu", workers=0, precision="fp32", compare=str(model)).comparison
    assert same is not None
    assert (same.paired.p_value, same.only_first, same.only_second) == (1.0, (), ())
    out = tmp_path / "out"
    words = ["evaluate", str(model), str(data), "--workers", "0", "--out", str(out)]
    assert main([*words, "--compare", str(other)]) == 0
    assert "McNemar's exact test" in capsys.readouterr().out
    written = {path.stem for path in out.glob("*.png")}
    assert {"only_here", "only_there"} <= written <= set(FIGURES)
    assert main(words) == 0
    assert not [path for path in out.iterdir() if path.stem.startswith("only_")]


def test_a_model_that_cannot_be_compared_is_refused_in_a_sentence(model: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be compared with a model for something else"):
        vitrail.evaluate(model, data, workers=0, compare=str(untrained(tmp_path / "detector", "detect")))
    with pytest.raises(VitrailError, match="nothing"):
        vitrail.evaluate(model, data, workers=0, compare=str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="compare is a setting of a classifier"):
        vitrail.evaluate(tmp_path / "detector", data, compare=str(model))


def test_of_many_classes_the_worst_and_the_best_are_shown_unless_all_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tuple(f"kind {number:02d}" for number in range(40))
    model, root = tmp_path / "model", data_of(tmp_path / "data", 2, names)
    _with_head(untrained(model), names)
    words = ["evaluate", str(model), str(root), "--workers", "0"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert sum(f"│ {name}" in said for name in names) < 40
    assert "the 10 worst and the 10 best by share that is right; --all-classes shows all" in said
    assert main([*words, "--all-classes", "--no-page"]) == 0
    said = capsys.readouterr().out
    assert sum(f"│ {name} " in said for name in names) == 40
    page = (model / "evaluate" / "evaluate.html").read_text(encoding="utf-8")
    assert "Of 40 classes those" in page
    assert len(vitrail.evaluate(model, root, workers=0).per_class) == 40


def _with_head(folder: Path, names: tuple[str, ...]) -> Path:
    """Give a model of three classes a head of others, whose answers are not all alike, and return its folder."""
    config = json.loads((folder / "config.json").read_text())
    config["class_names"] = list(names)
    text = json.dumps(config).replace('"num_classes": 3', f'"num_classes": {len(names)}')
    (folder / "config.json").write_text(text)
    torch.manual_seed(13)
    tensors = load_file(folder / "model.safetensors")
    heads = {name: torch.randn(len(names), *one.shape[1:]) for name, one in tensors.items() if name.startswith("head.")}
    save_file({**tensors, **heads}, folder / "model.safetensors")
    return folder
