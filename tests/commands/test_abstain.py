"""A classifier that says when it is not sure, by what its run stored of it."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import vitrail
from tests.commands.conftest import QUICK
from tests.commands.foreign import timm_file
from vitrail.cli import main
from vitrail.errors import ConfigError, WeightsError
from vitrail.tasks.classification.predictions import CautiousPrediction
from vitrail.training.checkpoint import resolve
from vitrail.trust.abstention import find_threshold
from vitrail.trust.conformal import quantile
from vitrail.weights.calibration_file import FILE, VALUES, read_calibration


def logits_of(run: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Score the digits of a split with the model alone, in fp32."""
    from vitrail.runs.measured import known_split

    model, description = vitrail.open_checkpoint(run)
    images = known_split(run, description).part(split)
    assert images is not None
    assert images.labels is not None
    opened = vitrail.open_model(run, device="cpu")
    with torch.inference_mode():
        batch = torch.stack([opened.preprocess(images.item(number).open(1)) for number in range(len(images))])
        return model(batch).double().numpy(), np.array(images.labels)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of digits that is right most of the time, computed in fp32."""
    out = tmp_path_factory.mktemp("runs") / "quick"
    plain = {"crop": "none", "flip": 0.0, "rand_augment": 0, "mixup": 0.0, "cutmix": 0.0}
    settings = {
        **QUICK,
        "epochs": 14,
        "batch_size": 64,
        "augment": plain,
        "run": {"precision": "fp32", "device": "cpu"},
    }
    return vitrail.train("digits", out=str(out), lr=3e-3, **settings).folder


def test_a_run_stores_what_its_validation_images_say(quick: Path) -> None:
    about = json.loads((resolve(quick) / FILE).read_text())
    logits, labels = logits_of(quick, "validation")
    assert about["learned_from"] == {
        "data": "digits",
        "split": "validation",
        "images": len(labels),
        "damaged": 0,
        "precision": "fp32",
    }
    shares = softmax(logits / about["temperature"]["value"])
    best, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    expected = find_threshold(best, right, 0.05)
    assert about["threshold"]["value"] == pytest.approx(expected.value, abs=1e-5)
    assert about["threshold"]["answered"] == expected.answered
    of_label = shares[np.arange(len(labels)), labels]
    assert about["sets"]["limit"] == pytest.approx(quantile(1 - of_label, 0.95), abs=1e-5)
    losses = [-np.log(softmax(logits / t)[np.arange(len(labels)), labels]).mean() for t in (0.99, 1, 1.01)]
    at_fitted = -np.log(of_label).mean()
    assert at_fitted <= min(losses) + 1e-9


def test_answers_are_given_from_the_threshold_on_and_sets_hold_what_the_limit_allows(quick: Path) -> None:
    from vitrail.runs.measured import known_split

    _, description = vitrail.open_checkpoint(quick)
    images = known_split(quick, description).part("test")
    assert images is not None
    asked = [images.item(number).open(1) for number in range(40)]
    about = json.loads((resolve(quick) / FILE).read_text())
    found = vitrail.predict(quick, asked, abstain=True, max_error=0.2, coverage=0.99, top=10, precision="fp32")
    logits, _ = logits_of(quick, "test")
    shares = softmax(logits[:40] / about["temperature"]["value"])
    model, _ = vitrail.open_checkpoint(quick)
    stored = read_calibration(quick, model, description.preprocessing)
    assert stored is not None
    threshold, limit = stored.reliability.threshold(0.2).value, stored.reliability.set_limit(0.99)
    assert threshold is not None
    for one, row in zip(found, shares, strict=True):
        assert isinstance(one, CautiousPrediction)
        assert one.probability == pytest.approx(row.max(), abs=1e-5)
        assert one.unsure == (row.max() < threshold)
        assert one.answer == (None if one.unsure else one.label)
        members = {description.class_names[place] for place in np.flatnonzero(1 - row <= limit)} | {one.label}
        assert set(one.candidates) == members
        assert one.candidates[0] == one.label
    assert {one.unlike for one in found} <= {True, False}


def test_noise_is_unlike_digits_and_digits_are_not(quick: Path) -> None:
    from vitrail.runs.measured import known_split

    images = known_split(quick, vitrail.open_checkpoint(quick)[1]).part("test")
    assert images is not None
    digits = [images.item(number).open(1) for number in range(100)]
    noise = np.random.default_rng(3).integers(0, 256, size=(20, 8, 8, 1), dtype=np.uint8)
    asked = {"abstain": True, "max_error": 0.3}
    assert sum(one.unlike for one in vitrail.predict(quick, digits, **asked)) <= 5
    assert sum(one.unlike for one in vitrail.predict(quick, noise, **asked)) >= 7


def test_without_abstain_nothing_changes(quick: Path) -> None:
    image = Image.new("L", (8, 8), 90)
    plain = vitrail.predict(quick, image, precision="fp32")
    cautious = vitrail.predict(quick, image, abstain=True, max_error=0.3)
    assert list(vars(plain[0])) == ["file", "classes", "error"]
    opened = vitrail.open_model(quick).predict(image)
    assert plain[0].probability == pytest.approx(opened.probability, abs=1e-6)
    assert not isinstance(plain[0], CautiousPrediction)
    assert isinstance(cautious[0], CautiousPrediction)


@pytest.fixture
def few(digit_files: Path, tmp_path: Path) -> Path:
    """Three digits, and a file that is no image."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number in (0, 3, 7):
        shutil.copy(next((digit_files / str(number)).glob("*.png")), folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def test_table_csv_and_json_say_the_same(quick: Path, few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(quick), str(few), "--abstain", "--max-error", "0.2"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "Answered is from a probability of" in printed.err
    assert "at most 20 % of the answers are wrong, with 95 % confidence" in printed.err
    assert "may be" in printed.out
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert main([*command, "--format", "csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == len(table) == 4
    for row, cells in zip(rows, table, strict=True):
        assert row["file"] == cells["file"]
        if row["error"]:
            assert (row["unsure"], row["candidates"], cells["answer"], cells["unlike"]) == (None, [], "", "")
            continue
        assert cells["answer"] == ("unsure" if row["unsure"] else row["classes"][0][0])
        assert cells["candidates"].split(" | ") == row["candidates"]
        assert cells["unlike"] == ("yes" if row["unlike"] else "no")
        assert float(cells["distance"]) == row["distance"]


def test_files_hold_what_is_printed(quick: Path, few: Path, tmp_path: Path) -> None:
    command = ["predict", str(quick), str(few), "--abstain", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert main([*command, "--json"]) == 0
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    rows = list(csv.DictReader((tmp_path / "out" / "predictions.csv").open()))
    assert [row["candidates"] for row in rows] == [" | ".join(one["candidates"]) for one in found]


def test_an_error_that_cannot_be_had_leaves_every_answer_unsure_and_says_why(
    quick: Path, few: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(quick), str(few), "--abstain", "--max-error", "0.001", "--format", "csv"]) == 0
    printed = capsys.readouterr()
    assert "Every image is answered with unsure" in printed.err
    assert "images are too few to show an error of at most 0.1 %" in printed.err
    assert [row["answer"] for row in csv.DictReader(io.StringIO(printed.out))].count("unsure") == 3
    with pytest.warns(UserWarning, match="Every image is answered with unsure"):
        vitrail.predict(quick, Image.new("L", (8, 8)), abstain=True, max_error=0.001)


def test_sets_that_cannot_be_had_hold_every_class_and_say_why(quick: Path) -> None:
    with pytest.warns(UserWarning, match="it takes 9,999 images to know smaller sets"):
        found = vitrail.predict(quick, Image.new("L", (8, 8)), abstain=True, max_error=0.3, coverage=0.9999)
    assert len(found[0].candidates) == 10


def test_stored_values_of_other_weights_are_never_used(quick: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "changed"
    shutil.copytree(resolve(quick), checkpoint)
    weights = load_file(checkpoint / "model.safetensors")
    weights["head.bias"] = weights["head.bias"] + 0.01
    save_file(weights, checkpoint / "model.safetensors")
    (checkpoint / "digests.json").unlink()
    with pytest.raises(WeightsError, match="with other weights than it has now"):
        vitrail.predict(checkpoint, Image.new("L", (8, 8)), abstain=True)
    assert vitrail.predict(checkpoint, Image.new("L", (8, 8)))[0].label


def test_a_run_of_a_version_that_stored_nothing_says_what_to_do(
    quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "old"
    shutil.copytree(resolve(quick), old)
    (old / FILE).unlink()
    (old / VALUES).unlink()
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    assert main(["predict", str(old), str(tmp_path / "a.png"), "--abstain"]) == 2
    assert f"nothing is stored of when {old} can be believed; vitrail evaluate {old}" in capsys.readouterr().err
    assert main(["predict", str(old), str(tmp_path / "a.png")]) == 0


def test_others_weights_without_stored_values_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = timm_file(tmp_path / "theirs.safetensors", classes=4)
    with pytest.raises(ConfigError, match="nothing is stored of when"):
        vitrail.predict(file, Image.new("RGB", (32, 32)), abstain=True, normalization="imagenet")


def test_options_that_mean_nothing_are_refused(quick: Path, few: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--max-error", "0.1"], "--max-error is for --abstain"),
        (["--coverage", "0.9"], "--coverage is for --abstain"),
        (["--abstain", "--max-error", "0"], "max-error"),
        (["--abstain", "--coverage", "1"], "coverage"),
    ):
        assert main(["predict", str(quick), str(few), *words]) == 2
        assert said in capsys.readouterr().err


def test_a_run_without_validation_images_stores_nothing(tmp_path: Path, digit_files: Path) -> None:
    data = tmp_path / "data" / "train"
    for number in (0, 1):
        (data / str(number)).mkdir(parents=True)
        for file in sorted((digit_files / str(number)).glob("*.png"))[:6]:
            shutil.copy(file, data / str(number))
    run = vitrail.train(data.parent, out=str(tmp_path / "run"), validation_share=0, **QUICK).folder
    assert not (resolve(run) / FILE).exists()
    with pytest.raises(ConfigError, match="nothing is stored"):
        vitrail.predict(run, Image.new("L", (8, 8)), abstain=True)


def test_two_classes_an_image_each_damaged_images_and_a_class_without_any(tmp_path: Path, digit_files: Path) -> None:
    data = tmp_path / "data"
    for number in (0, 1, 2):
        files = sorted((digit_files / str(number)).glob("*.png"))
        for split, some in (("train", files[:6]), ("val", files[6:7] if number else [])):
            (data / split / str(number)).mkdir(parents=True)
            for file in some:
                shutil.copy(file, data / split / str(number))
    (data / "val" / "2" / "broken.png").write_bytes(b"no image")
    run = vitrail.train(data, out=str(tmp_path / "run"), **QUICK).folder
    about = json.loads((resolve(run) / FILE).read_text())
    assert (about["learned_from"]["images"], about["learned_from"]["damaged"]) == (2, 1)
    with pytest.warns(UserWarning, match="answered with unsure|Every class may be|is not known") as said:
        found = vitrail.predict(run, Image.new("L", (8, 8)), abstain=True)
    assert (found[0].unsure, len(found[0].candidates), found[0].unlike) == (True, 3, None)
    assert len(said) == 3


def test_an_open_model_abstains_as_the_command_does(quick: Path) -> None:
    images = [Image.new("L", (8, 8), grey) for grey in (0, 90, 255)]
    model = vitrail.open_model(quick, device="cpu")
    found = model.predict(images, abstain=True, max_error=0.25, coverage=0.9)
    asked = {"abstain": True, "max_error": 0.25, "coverage": 0.9, "precision": "fp32", "top": 10}
    for one, other in zip(found, vitrail.predict(quick, images, **asked), strict=True):
        assert (one.unsure, one.candidates, one.unlike) == (other.unsure, other.candidates, other.unlike)
        assert one.top(10) == other.classes
        assert json.loads(json.dumps(one.to_dict()))["answer"] == one.answer
        shown = one._repr_html_()
        assert f"<b>{one.answer or 'unsure'}</b>" in shown
        assert ("unlike the training images" in shown) == one.unlike
    plain = model.predict(images[0])
    assert "unsure" not in plain.to_dict()
    with pytest.raises(ConfigError, match="for abstain=True"):
        model.predict(images, max_error=0.1)
    with pytest.raises(ConfigError, match="max_error must lie between 0 and 1"):
        model.predict(images, abstain=True, max_error=1.5)


def test_models_that_name_no_class_of_a_whole_image_refuse_to_abstain(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = {"patch_size": 8, "width": 32, "depth": 1, "num_heads": 2}
    settings = {"image_size": 32, "epochs": 0.02, "batch_size": 4, "architecture": tiny}
    run = vitrail.train("scenes:40", task="segment", out=str(tmp_path / "run"), **settings).folder
    with pytest.raises(ConfigError, match="abstain is for classifiers"):
        vitrail.open_model(run).predict(Image.new("RGB", (32, 32)), abstain=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    assert main(["predict", str(run), str(tmp_path / "a.png"), "--abstain"]) == 2
    assert "--abstain" in capsys.readouterr().err


@pytest.fixture
def own(quick: Path, tmp_path: Path) -> Path:
    """A copy of the run, which evaluate may write to."""
    shutil.copytree(quick, tmp_path / "own")
    return tmp_path / "own"


def test_evaluate_says_what_a_loop_over_the_test_images_finds(own: Path) -> None:
    about = json.loads((resolve(own) / FILE).read_text())
    asked = {"max_error": 0.1, "coverage": 0.8}
    found = vitrail.evaluate(own, "digits", device="cpu", precision="fp32", **asked).abstaining
    logits, labels = logits_of(own, "test")
    held, held_labels = logits_of(own, "validation")
    shares, others = (softmax(some / about["temperature"]["value"]) for some in (logits, held))
    threshold = find_threshold(others.max(axis=1), others.argmax(axis=1) == held_labels, 0.1).value
    limit = quantile(1 - others[np.arange(len(others)), held_labels], 0.8)
    answered = wrong = right_in_set = of_unsure = sizes = 0
    for row, label in zip(shares, labels, strict=True):
        members = {k for k in range(10) if 1 - row[k] <= limit} | {int(row.argmax())}
        right_in_set, sizes = right_in_set + (label in members), sizes + len(members)
        if threshold is not None and row.max() >= threshold:
            answered, wrong = answered + 1, wrong + (row.argmax() != label)
        else:
            of_unsure += label in members
    assert found is not None
    assert threshold is not None
    assert found.threshold == pytest.approx(threshold, abs=1e-5)
    assert found.answered.value == pytest.approx(answered / len(labels), abs=1.5 / len(labels))
    assert found.error.value == pytest.approx(wrong / answered, abs=2 / answered)
    assert found.error.low < found.error.value < found.error.high
    assert found.held.value == pytest.approx(right_in_set / len(labels), abs=1.5 / len(labels))
    unsure = len(labels) - answered
    assert unsure > 0
    assert found.held_unsure.value == pytest.approx(of_unsure / unsure, abs=2 / unsure)
    assert found.set_size == pytest.approx(sizes / len(labels), abs=0.02)
    assert found.apart
    assert found.learned_from == f"{len(held)} validation images of digits"


def test_the_wanted_error_and_coverage_are_kept_with_the_model(own: Path) -> None:
    before = json.loads((resolve(own) / FILE).read_text())
    vitrail.evaluate(own, "digits", max_error=0.25, coverage=0.7)
    after = json.loads((resolve(own) / FILE).read_text())
    assert (after["threshold"]["max_error"], after["sets"]["coverage"]) == (0.25, 0.7)
    assert after["temperature"] == before["temperature"], "nothing was learned anew"
    image = Image.new("L", (8, 8), 90)
    said = vitrail.predict(own, image, abstain=True)[0]
    assert said == vitrail.predict(own, image, abstain=True, max_error=0.25, coverage=0.7)[0]
    kept = (resolve(own) / FILE).read_bytes()
    vitrail.evaluate(own, "digits")
    assert (resolve(own) / FILE).read_bytes() == kept, "unasked, nothing is written"


def test_evaluate_learns_what_a_run_lacks_and_what_belongs_to_other_weights(own: Path) -> None:
    checkpoint = resolve(own)
    stored = json.loads((checkpoint / FILE).read_text())
    (checkpoint / FILE).unlink()
    found = vitrail.evaluate(own, "digits", device="cpu", precision="fp32")
    again = json.loads((checkpoint / FILE).read_text())
    assert again["temperature"]["value"] == pytest.approx(stored["temperature"]["value"], abs=1e-6)
    assert again["learned_from"] == stored["learned_from"]
    assert any("is stored in" in note for note in found.notes)
    weights = load_file(checkpoint / "model.safetensors")
    weights["head.bias"] = weights["head.bias"] + 0.01
    save_file(weights, checkpoint / "model.safetensors")
    (checkpoint / "digests.json").unlink()
    found = vitrail.evaluate(own, "digits")
    assert any("with other weights than it has now" in note for note in found.notes)
    assert vitrail.predict(own, Image.new("L", (8, 8)), abstain=True, max_error=0.3)[0].label


def test_images_that_all_was_learned_from_are_judged_by_halves(own: Path) -> None:
    found = vitrail.evaluate(own, "digits", split="validation", max_error=0.3).abstaining
    assert found is not None
    assert not found.apart
    with pytest.raises(ConfigError, match="did not learn from"):
        vitrail.evaluate(own, "digits", split="all", recalibrate=True)


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of somebody else's for three classes, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return timm_file(tmp_path / "theirs.safetensors", classes=3)


def photos(root: Path, splits: dict[str, int]) -> Path:
    rng = np.random.default_rng(5)
    for split, count in splits.items():
        for number in range(3):
            folder = root / split / str(number)
            folder.mkdir(parents=True)
            for place in range(count):
                pixels = rng.integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{split}{place}.png")
    return root


def test_others_weights_abstain_once_evaluate_was_asked_for_it(theirs: Path, tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", {"val": 40, "test": 5})
    prepared = {"normalization": "imagenet", "device": "cpu"}
    vitrail.evaluate(theirs, data, **prepared)
    assert not (tmp_path / "runs").exists(), "unasked, nothing is written for weights of others"
    found = vitrail.evaluate(theirs, data, max_error=0.9, **prepared)
    about = json.loads((tmp_path / "runs" / "calibration-theirs" / FILE).read_text())
    assert (about["learned_from"]["split"], about["learned_from"]["images"]) == ("validation", 120)
    assert found.abstaining is not None
    assert found.abstaining.apart
    said = vitrail.predict(theirs, Image.new("RGB", (32, 32)), abstain=True, **prepared)[0]
    assert isinstance(said, CautiousPrediction)
    with pytest.raises(WeightsError, match="images prepared otherwise"):
        vitrail.predict(theirs, Image.new("RGB", (32, 32)), abstain=True, normalization="half")


def test_images_without_splits_are_learned_from_and_judged_by_halves(theirs: Path, tmp_path: Path) -> None:
    data = photos(tmp_path / "photos", {"": 30})
    found = vitrail.evaluate(theirs, data, max_error=0.9, coverage=0.6, normalization="imagenet")
    assert found.abstaining is not None
    assert not found.abstaining.apart
    assert found.abstaining.held.value == pytest.approx(0.6, abs=0.2)
    about = json.loads((tmp_path / "runs" / "calibration-theirs" / FILE).read_text())
    assert (about["learned_from"]["split"], about["learned_from"]["images"]) == ("all", 90)


def test_a_thousand_classes_of_which_most_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = timm_file(tmp_path / "thousand.safetensors")
    data = photos(tmp_path / "photos", {"val": 10, "test": 1})
    names = [sorted((data / split).iterdir()) for split in ("val", "test")]
    for folders in names:
        for folder, wordnet in zip(folders, ("n01440764", "n01443537", "n01484850"), strict=True):
            folder.rename(folder.with_name(wordnet))
    prepared = {"normalization": "imagenet", "device": "cpu"}
    found = vitrail.evaluate(file, data, coverage=0.9, **prepared)
    assert found.abstaining is not None
    assert found.abstaining.threshold is None
    with pytest.warns(UserWarning, match="answered with unsure|is not known"):
        said = vitrail.predict(file, Image.new("RGB", (32, 32)), abstain=True, **prepared)[0]
    assert 1 <= len(said.candidates) <= 1000


def test_a_copy_of_a_run_abstains_as_the_run_does_and_keeps_no_paths(own: Path, tmp_path: Path) -> None:
    about = json.loads((resolve(own) / FILE).read_text())
    about["learned_from"]["data"] = "/home/me/digits"
    (resolve(own) / FILE).write_text(json.dumps(about))
    folder = vitrail.save_pretrained(own, tmp_path / "copy")
    assert "/home/me" not in (folder / FILE).read_text()
    image = Image.new("L", (8, 8), 90)
    asked = {"abstain": True, "max_error": 0.3}
    assert vitrail.predict(folder, image, **asked) == vitrail.predict(own, image, **asked)
    (resolve(own) / VALUES).write_bytes(b"")
    with pytest.warns(UserWarning, match="not copied: .* is damaged"):
        vitrail.save_pretrained(own, tmp_path / "other")
    assert not (tmp_path / "other" / FILE).exists()
