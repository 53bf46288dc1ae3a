"""The main line on real images: pretrain, train, evaluate, predict, look."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import vitrail
from tests.commands.conftest import QUICK
from vitrail.cli import main
from vitrail.errors import ConfigError, DataError, WeightsError


def test_a_run_folder_holds_all_that_was_promised(pretrained: Path) -> None:
    for name in (
        "config.json",
        "environment.json",
        "metrics.jsonl",
        "summary.json",
        "report.html",
        "figures/curves.png",
    ):
        assert (pretrained / name).is_file(), name
    assert {"last", "best"} <= {path.name for path in (pretrained / "checkpoints").iterdir()}


def test_a_checkpoint_says_what_is_needed_to_use_it(classifier: Path) -> None:
    model, description = vitrail.open_checkpoint(classifier)
    assert description.class_names == tuple("0123456789")
    assert description.preprocessing.image_size == (32, 32)
    assert not model.training
    assert model(torch.zeros(1, 1, 32, 32)).shape == (1, 10)


def test_a_few_epochs_on_digits_are_far_above_chance(classifier: Path) -> None:
    figures = vitrail.evaluate(str(classifier), "digits")
    assert (figures.split, figures.images) == ("test", 300)
    assert figures.top1 > 0.3
    assert sum(map(sum, figures.confusion)) == 300


def test_evaluation_while_training_equals_evaluation_afterwards(classifier: Path) -> None:
    summary = json.loads((classifier / "summary.json").read_text())
    figures = vitrail.evaluate(str(classifier), "digits", split="validation")
    assert figures.top1 == pytest.approx(summary["best"]["top1"], abs=1e-6)
    assert figures.loss == pytest.approx(summary["best"]["loss"], rel=1e-2)


def test_the_encoder_of_a_masked_autoencoder_is_fine_tuned_as_it_is(pretrained: Path, tmp_path: Path) -> None:
    settings = {"epochs": 1, "batch_size": 64, "channels": 1, "labels": 64}
    result = vitrail.train("digits", weights=str(pretrained), out=str(tmp_path / "run"), **settings)
    _, description = vitrail.open_checkpoint(result.folder)
    _, before = vitrail.open_checkpoint(pretrained)
    for option in ("patch_size", "width", "depth", "num_heads", "image_size"):
        assert description.model.backbone_options[option] == before.model.backbone_options[option]


def test_predictions_agree_with_the_evaluation(classifier: Path, digit_files: Path) -> None:
    predictions = vitrail.predict(str(classifier), [str(digit_files)], top=1)
    right = sum(Path(p.file).parent.name == p.classes[0][0] for p in predictions)
    assert len(predictions) == 300
    assert right / 300 == pytest.approx(vitrail.evaluate(str(classifier), "digits").top1, abs=0.011)


def test_a_damaged_image_is_named_and_the_others_are_predicted(classifier: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    good, bad = vitrail.predict(str(classifier), tmp_path)
    assert good.classes
    assert not good.error
    assert bad.file.endswith("b.png")
    assert bad.error


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_predicting_only_damaged_images_is_a_mistake(
    classifier: Path, tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    assert main(["predict", str(classifier), str(tmp_path), "--format", form]) == 2
    said = capsys.readouterr()
    assert "a.png" in said.out
    assert "a.png cannot be read as an image" in said.err
    (tmp_path / "b.png").write_bytes(b"no image either")
    assert main(["predict", str(classifier), str(tmp_path), "--format", form]) == 2
    assert "none of the 2 files can be read" in capsys.readouterr().err


def test_looking_at_a_masked_autoencoder_draws_both_kinds_of_statistics(pretrained: Path, tmp_path: Path) -> None:
    written = {path.name for path in vitrail.look(str(pretrained), out=str(tmp_path), mask_ratio=(0.5,), count=2)}
    assert {"reconstruction.png", "reconstruction_true_statistics.png", "curves.png"} <= written


def test_looking_at_a_classifier_draws_its_attention(classifier: Path, digit_files: Path, tmp_path: Path) -> None:
    written = vitrail.look(str(classifier), [str(digit_files / "3")], out=str(tmp_path), count=2)
    assert tmp_path / "attention.png" in written


def test_the_attention_of_any_layer_is_drawn(classifier: Path, tmp_path: Path) -> None:
    written = {path.name for path in vitrail.look(str(classifier), out=str(tmp_path), layers=(0, -1), count=1)}
    assert {"attention_0.png", "attention_-1.png"} <= written


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"count": 0}, "count must be a number from 1"),
        ({"explain": "predicted"}, "--explain means nothing to the model"),
        ({"layers": (9,)}, "layer"),
    ],
)
def test_what_has_no_meaning_for_a_masked_autoencoder_is_not_passed_over(
    pretrained: Path, tmp_path: Path, asked: dict[str, Any], answer: str
) -> None:
    with pytest.raises(ConfigError, match=answer):
        vitrail.look(str(pretrained), out=str(tmp_path / "look"), **asked)


def test_masks_mean_nothing_to_a_classifier(classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--mask-ratio means nothing"):
        vitrail.look(str(classifier), out=str(tmp_path / "look"), mask_ratio=(0.5,))


def test_the_same_command_goes_on_and_another_one_is_refused(pretrained: Path) -> None:
    settings = {"out": str(pretrained), "decoder_width": 32, "decoder_depth": 1, **QUICK}
    before = json.loads((pretrained / "summary.json").read_text())
    again = vitrail.pretrain("digits", **settings)
    assert again.summary["steps"] == before["steps"]
    with pytest.raises(ConfigError, match="lr is"):
        vitrail.pretrain("digits", **{**settings, "lr": 9.0})


def test_an_encoder_is_not_mistaken_for_a_classifier(pretrained: Path, digit_files: Path) -> None:
    with pytest.raises(ConfigError, match="fine-tune it first"):
        vitrail.evaluate(str(pretrained), "digits")
    with pytest.raises(ConfigError, match="fine-tune it first"):
        vitrail.predict(str(pretrained), [str(digit_files)])


def test_unknown_classes_in_the_data_are_named(classifier: Path, tmp_path: Path) -> None:
    from PIL import Image

    for name in ("0", "dog"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "a.png")
    with pytest.raises(DataError, match="dog"):
        vitrail.evaluate(str(classifier), str(tmp_path), split="all")


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no weights"):
        vitrail.evaluate(str(tmp_path), "digits")
    with pytest.raises(WeightsError, match="does not exist"):
        vitrail.evaluate(str(tmp_path / "missing"), "digits")


def test_doctor_finds_damaged_files_and_the_same_image_in_two_splits(tmp_path: Path) -> None:
    from PIL import Image

    for split in ("train", "test"):
        for name, value in (("a", 10), ("b", 200)):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("L", (9, 7), value + (split == "test" and name == "a")).save(tmp_path / split / name / "1.png")
    (tmp_path / "train" / "a" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = vitrail.doctor(str(tmp_path))["data"]
    assert len(found["damaged"]) == 1
    assert "2.png" in found["damaged"][0]
    assert len(found["duplicates"]) == 1
    assert found["sizes"]["height median"] == (7, 7)


def test_tables_print_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from vitrail.output import say_table

    say_table("", ("what",), [('pip install "vitrail[tensorboard]"',)])
    assert "vitrail[tensorboard]" in capsys.readouterr().out


def test_where_a_classifier_looks_is_drawn_while_it_learns(tmp_path: Path) -> None:
    run = {"draw_every": 1.0}
    folder = vitrail.train("digits", out=str(tmp_path / "run"), **{**QUICK, "epochs": 2, "run": run}).folder
    assert len(list((folder / "figures").glob("attention_0*.png"))) == 1
