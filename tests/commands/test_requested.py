"""What is asked of `predict`: whatever it is made of, the answers come in its order."""

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import vitrail
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.errors import ConfigError, DataError, VitrailError
from vitrail.settings import Scoring

TASKS = ("classify", "detect", "segment")


@pytest.fixture(scope="module", params=TASKS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("untrained") / request.param, request.param)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("untrained") / "classifier", seed=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine images of odd sizes, of which every third cannot be read."""
    root = tmp_path_factory.mktemp("images")
    for number in range(9):
        if number % 3 == 1:
            (root / f"{number}.png").write_bytes(b"damaged")
        else:
            pixels(number).save(root / f"{number}.png")
    return root


def pixels(seed: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(20, 50, 2)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def answers(predictions: list[Any]) -> list[Any]:
    """What was said, without where it was drawn."""
    return [(p.error is None, p.classes if hasattr(p, "classes") else p.objects) for p in predictions]


def test_damaged_missing_and_repeated_files_are_answered_in_the_order_of_the_request(
    model: Path, folder: Path, tmp_path: Path
) -> None:
    order = [8, 1, 0, 1, 4, 8, 7, 2, 5, 3]
    names = [str(folder / f"{number}.png") for number in order]
    names.insert(3, str(folder / "missing.png"))
    settings: dict[str, Any] = {"batch_size": 2} if "classify" in model.name else {}
    out = {} if "classify" in model.name else {"out": tmp_path}
    found = vitrail.predict(model, names, **settings, **out)
    assert [one.file for one in found] == names
    assert [one.error is not None for one in found] == [False, True, False, True, True, True, False, True, *[False] * 3]
    assert "missing.png" in found[3].error


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_what_is_printed_keeps_the_order_of_the_request(
    classifier: Path, folder: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(folder / f"{number}.png") for number in (4, 8, 1, 0, 7, 2)]
    assert main(["predict", str(classifier), *names, "--format", form, "--batch-size", "4"]) == 0
    said = capsys.readouterr()
    if form == "json":
        assert [json.loads(line)["file"] for line in said.out.splitlines()] == names
    elif form == "csv":
        assert [row["file"] for row in csv.DictReader(io.StringIO(said.out))] == names
    else:
        places = [said.out.index(Path(name).name) for name in names]
        assert places == sorted(places)
    assert "left out: 3 of 6 images" in said.err
    reasons = [said.err.index(f"{number}.png: ") for number in (4, 1, 7)]
    assert reasons == sorted(reasons)


def test_folders_and_globs_stand_where_they_were_asked_for(classifier: Path, folder: Path) -> None:
    every = [str(folder / f"{number}.png") for number in range(9)]
    found = vitrail.predict(classifier, [folder / "5.png", folder, str(folder / "[6-8].png"), str(folder / "5.png")])
    assert [one.file for one in found] == [every[5], *every, *every[6:], every[5]]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), count=st.integers(1, 12), batch=st.integers(1, 5))
def test_any_mixture_of_images_gives_each_the_answer_it_has_alone(
    classifier: Path, folder: Path, seed: int, count: int, batch: int
) -> None:
    chance = random.Random(seed)
    request, alone = [], []
    for _ in range(count):
        number = chance.randrange(9)
        file = folder / f"{number}.png"
        damaged = number % 3 == 1
        array = None if damaged else np.asarray(Image.open(file))
        forms: list[Any] = [file, str(file), file.read_bytes(), io.BytesIO(file.read_bytes())]
        if array is not None:
            forms += [Image.open(file), array, torch.from_numpy(array.copy()).permute(2, 0, 1)]
        request.append(chance.choice(forms))
        alone.append(file)
    together = vitrail.predict(classifier, request, batch_size=batch)
    each = [vitrail.predict(classifier, file)[0] for file in alone]
    assert len(together) == count
    for one, other in zip(together, each, strict=True):
        assert one.error == other.error
        assert [name for name, _ in one.classes] == [name for name, _ in other.classes]
        assert [p for _, p in one.classes] == pytest.approx([p for _, p in other.classes], abs=1e-5)


@pytest.mark.parametrize("task", TASKS)
def test_images_in_memory_are_called_by_their_place(task: str, tmp_path: Path) -> None:
    checkpoint = untrained(tmp_path / "model", task)
    out = {} if task == "classify" else {"out": str(tmp_path / "out")}
    image = pixels(1)
    request = [np.asarray(image), b"no image", image, np.stack([np.asarray(image)] * 2)]
    found = vitrail.predict(str(checkpoint), request, **out)
    assert [one.file for one in found] == [f"image {number}" for number in range(5)]
    assert [one.error is None for one in found] == [True, False, True, True, True]
    said = answers(found)
    assert said[0] == said[2] == said[3] == said[4]


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
        lambda a: np.asarray(Image.fromarray(a).convert("RGBA")),
        lambda a: torch.from_numpy(a).permute(2, 0, 1),
        lambda a: torch.from_numpy(a).permute(2, 0, 1)[None],
        lambda a: a[::-1][::-1],
        Image.fromarray,
    ],
)
def test_arrays_tensors_and_images_of_the_same_pixels_get_the_same_answer(classifier: Path, form: Any) -> None:
    array = np.asarray(pixels(5)).copy()
    (one,), (other,) = vitrail.predict(classifier, array), vitrail.predict(classifier, form(array))
    assert one.classes == other.classes


def test_grey_arrays_are_read_as_grey_images(classifier: Path, tmp_path: Path) -> None:
    grey = np.asarray(pixels(6).convert("L")).copy()
    Image.fromarray(grey).save(tmp_path / "grey.png")
    found = vitrail.predict(classifier, [tmp_path / "grey.png", grey, grey[..., None], torch.from_numpy(grey)])
    assert len({one.classes for one in found}) == 1


def test_an_open_image_is_turned_upright_as_its_file_is_and_stays_as_it_was(classifier: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels(8).save(tmp_path / "turned.png", exif=exif)
    opened = Image.open(tmp_path / "turned.png")
    size = opened.size
    from_file, from_memory = vitrail.predict(classifier, [tmp_path / "turned.png", opened])
    assert from_file.classes == from_memory.classes
    assert opened.size == size
    assert opened.getexif()[0x0112] == 6


def test_an_open_file_is_left_where_it_stood(classifier: Path, folder: Path) -> None:
    with (folder / "0.png").open("rb") as file:
        found = vitrail.predict(classifier, [file, file])
        assert file.tell() == 0
    assert found[0].classes == found[1].classes
    assert found[0].file == str(folder / "0.png")
    with (folder / "0.png").open("rb") as file:
        pass
    (closed,) = vitrail.predict(classifier, file)
    assert "cannot be read" in str(closed.error)
    (text,) = vitrail.predict(classifier, io.StringIO("text"))
    assert "binary mode" in str(text.error)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (5, "not an int"),
        (None, "not a NoneType"),
        ({"a.png": 1}, "not a dict"),
        ([], "name images"),
        ([["a.png"]], "item 0 of the request is a list"),
        ([np.zeros((4, 4), np.uint8), 3.5], "item 1 of the request is a float"),
        (np.zeros((4, 4, 3), np.float32), "holds float32, whose black and white are not known"),
        (torch.zeros(3, 4, 4), "holds float32"),
        (np.zeros((4, 4), bool), "holds bool"),
        (np.zeros((3, 40, 50), np.uint8), r"shape \(3, 40, 50\)"),
        (torch.zeros(40, 50, 3, dtype=torch.uint8), r"shape \(40, 50, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        ("", "empty name"),
        ("n" * 5000, "cannot be the path of a file"),
        (["missing.png", "absent"], "missing.png"),
    ],
)
def test_what_is_no_image_is_one_sentence(classifier: Path, request_: Any, answer: str) -> None:
    with pytest.raises(DataError, match=answer) as caught:
        vitrail.predict(classifier, request_)
    assert "\n" not in str(caught.value)


def test_columns_and_generators_of_names_are_requests(classifier: Path, folder: Path) -> None:
    names = [str(folder / f"{number}.png") for number in (3, 0)]
    for request in (np.array(names), tuple(names), (name for name in names), [Path(name) for name in names]):
        assert [one.file for one in vitrail.predict(classifier, request)] == names


def test_a_misspelt_setting_and_a_wrong_choice_are_one_sentence(classifier: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'top'"):
        vitrail.predict(classifier, folder, tpo=1)
    with pytest.raises(ConfigError, match="format must be one of"):
        vitrail.predict(classifier, folder, format="xml")


def test_a_classifiers_predictions_are_written_where_out_says(
    classifier: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = vitrail.predict(classifier, folder, out=tmp_path / "a", top=2)
    rows = list(csv.DictReader((tmp_path / "a" / "predictions.csv").open(newline="")))
    assert [row["file"] for row in rows] == [one.file for one in found]
    assert [row["class_1"] for row in rows] == [one.label or "" for one in found]
    assert float(rows[0]["probability_2"]) == pytest.approx(found[0].classes[1][1])
    assert main(["predict", str(classifier), str(folder), "--json", "--out", str(tmp_path / "b")]) == 0
    written = json.loads((tmp_path / "b" / "predictions.json").read_text())
    assert written == [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_place_that_cannot_be_written_is_one_sentence(classifier: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(VitrailError) as caught:
            vitrail.predict(classifier, folder, out=out)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given_", [{"threshold": 0.1}, {"scoring": Scoring(overlap=0.1)}, {"top": 0}, {"batch_size": 0}]
)
def test_options_without_meaning_for_a_classifier_are_refused(classifier: Path, folder: Path, given_: Any) -> None:
    with pytest.raises(ConfigError):
        vitrail.predict(classifier, folder, **given_)


def test_long_lists_say_how_far_they_are(
    classifier: Path, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitrail.output.Progress.FIRST_AFTER", 0.0)
    monkeypatch.setattr("vitrail.output.Progress.THEN_EVERY", 0.0)
    assert main(["predict", str(classifier), str(folder), "--json"]) == 0
    said = capsys.readouterr()
    assert "of 9 images, about" in said.err
    assert len(said.out.splitlines()) == 9


def test_hidden_files_are_predicted_only_by_name(classifier: Path, tmp_path: Path) -> None:
    for name in ("a.png", ".b.png", "._a.png", "__MACOSX/c.png", ".cache/d.png", ".ipynb_checkpoints/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels(2).save(tmp_path / name)
    assert [Path(one.file).name for one in vitrail.predict(classifier, tmp_path)] == ["a.png"]
    assert vitrail.predict(classifier, tmp_path / ".b.png")[0].error is None
    globbed = vitrail.predict(classifier, str(tmp_path / "**" / "*.png"))
    assert [Path(one.file).name for one in globbed] == ["a.png"]
    assert Path(vitrail.predict(classifier, str(tmp_path / ".cache" / "*"))[0].file).name == "d.png"


def test_figures_that_are_no_numbers_are_null_in_json(classifier: Path, folder: Path, tmp_path: Path) -> None:
    from vitrail.tasks.classification.predictions import Prediction, write_predictions
    from vitrail.tasks.classification.settings import ClassifyPredictSettings

    settings = ClassifyPredictSettings(str(classifier), (str(folder),), json=True, out=str(tmp_path))
    file = write_predictions([Prediction("a.png", (("cat", float("nan")),))], settings)
    assert json.loads(file.read_text(), parse_constant=pytest.fail)[0]["classes"] == [["cat", None]]
