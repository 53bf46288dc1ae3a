"""``vitrail trust``: the figures are those of the other commands, nothing is missing in silence, nothing goes stale."""

import json
import re
from pathlib import Path

import pytest

import vitrail
from tests.commands.data_sets import class_folders, records
from tests.commands.foreign import timm_file
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.commands import trust_parts
from vitrail.commands.trust import trust_card
from vitrail.data.hashes import data_sha256
from vitrail.data.image_list import parts_of
from vitrail.data.imagenet import imagenet_ids
from vitrail.data.sources import open_source
from vitrail.errors import ConfigError, DataError, Interrupted
from vitrail.weights.hashes import file_sha256

CLASSES = ("class 0", "class 1", "class 2")
EVERYTHING = ("stress", "explanations", "audit")


def card_of(model: object, data: Path, out: Path, **settings):
    return trust_card(str(model), data, out=str(out), device="cpu", **{"skip": EVERYTHING, **settings})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    splits = (("train", 0), ("validation", 50), ("test", 80))
    return class_folders(tmp_path / "data", tuple(r for s, n in splits for r in records(4, CLASSES, s, n)))


def test_its_figures_are_those_of_evaluate_and_what_was_not_measured_says_how(tmp_path: Path, data: Path) -> None:
    model = untrained(tmp_path / "run")
    card = card_of(model, data, tmp_path / "card")
    found = vitrail.evaluate(model, data, device="cpu")
    share = f"{100 * found.top1:.1f} %"
    assert card.section("accuracy").facts[0][1].startswith(share)
    assert card.section("accuracy").values["estimates"]["top1"]["value"] == found.top1
    assert dict(card.headlines)[next(name for name, _ in card.headlines if name.startswith("right"))] == share
    assert card.section("classes").facts[0] == ("worst class", "not known: none has 10 images or more")
    worst = min(one.recall.value for one in found.per_class if one.images)
    assert card.section("classes").tables[0].rows[0][2].startswith(f"{100 * worst:.1f} %")
    abstention = card.section("abstention")
    assert abstention.is_measured
    assert abstention.sentences[0] == "Learned from 12 validation images of data, none of them measured here."
    assert {one["images"] for one in abstention.values["sets"] if one["limit"] is not None} <= {12}
    for name, command in (("stress", "vitrail stress"), ("explanations", "vitrail trust"), ("audit", "vitrail doctor")):
        section = card.section(name)
        assert not section.is_measured
        assert section.sentences[0] == "Not measured."
        assert card.command_of(section).startswith(command)
    page = (tmp_path / "card" / "trust.html").read_text()
    assert page.count("Not measured.") >= 3
    assert "<script" not in page
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page).replace("http-equiv", "")
    assert json.loads((tmp_path / "card" / "trust.json").read_text())["sections"][0]["name"] == "accuracy"


def test_the_worst_class_is_one_of_which_enough_is_known(tmp_path: Path) -> None:
    counts = zip(CLASSES, (12, 15, 3), (0, 100, 200), strict=True)
    data = class_folders(
        tmp_path / "data", tuple(r for name, n, first in counts for r in records(n, (name,), "test", first))
    )
    model = untrained(tmp_path / "run")
    section = card_of(model, data, tmp_path / "card").section("classes")
    found = vitrail.evaluate(model, data, device="cpu")
    worst = min((one for one in found.per_class if one.images >= 10), key=lambda one: one.recall.value)
    assert section.facts[0][0] == f"worst class: {worst.name}"
    assert section.facts[0][1].startswith(f"{100 * worst.recall.value:.1f} % (")
    assert section.facts[0][1].endswith(f"of {worst.images} images")
    assert section.facts[1] == ("classes of fewer than 10 images", "1 of 3: little is known of each")


def test_the_hashes_are_those_of_the_files(tmp_path: Path, data: Path) -> None:
    model = untrained(tmp_path / "run")
    card = card_of(model, data, tmp_path / "card")
    weights = card.section("weights").values
    assert weights["files"] == {"model.safetensors": file_sha256(model / "model.safetensors")}
    source = open_source(str(data), validation_share=0)
    assert (
        card.section("data").values["all"]["sha256"] == data_sha256(parts_of(source), data, source.class_names).sha256
    )
    test = data_sha256([("test", source.test)], data, source.class_names)
    assert (card.section("data").values["measured"]["sha256"], test.images) == (test.sha256, 12)


def test_all_parts_are_measured_where_nothing_is_left_out(tmp_path: Path, data: Path) -> None:
    card = card_of(untrained(tmp_path / "run"), data, tmp_path / "card", skip=(), explained=2)
    missing = [section.name for section in card.sections if not section.is_measured]
    assert set(missing) <= {"abstention", "calibration"}
    assert card.section("explanations").values["leave-one-out"]["deletion_area"]["value"] is not None
    assert card.section("audit").values["images"] == 36
    study = json.loads((tmp_path / "card" / "stress" / "stress.json").read_text())
    assert card.section("stress").values["models"] == study["models"]
    page = (tmp_path / "card" / "trust.html").read_text()
    assert page.count("data:image/") >= 5


def test_a_part_that_is_left_out_is_taken_from_an_earlier_card_of_the_same(tmp_path: Path, data: Path) -> None:
    model, out = untrained(tmp_path / "run"), tmp_path / "card"
    measured = card_of(model, data, out, skip=("stress", "audit"), explained=2).section("explanations")
    assert measured.is_measured
    assert not card_of(model, data, out).section("explanations").is_measured  # of 12 images, not of 2
    again = card_of(model, data, out, skip=("stress", "audit"))
    assert card_of(model, data, out).section("explanations") == again.section("explanations")
    other = untrained(tmp_path / "other", seed=8)
    assert not card_of(other, data, out).section("explanations").is_measured


def test_the_curves_of_the_same_weights_and_images_are_taken_and_those_of_others_are_not(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = untrained(tmp_path / "run")
    vitrail.stress_test(
        [untrained(tmp_path / "other", seed=5), model], data, out=model / "stress", quick=True, curves=("shuffle",)
    )
    card = card_of(model, data, tmp_path / "card")
    section = card.section("stress")
    assert section.is_measured
    assert [curve["name"] for curve in section.values["models"][0]["curves"]] == ["shuffle"]
    assert "--quick --curves shuffle" in section.command
    other = untrained(tmp_path / "newer", seed=7)
    (model / "stress").rename(other / "stress")
    assert not card_of(other, data, tmp_path / "second").section("stress").is_measured
    (other / "stress").rename(model / "stress")
    for file in (data / "test" / "class 0").iterdir():
        file.unlink()
    assert not card_of(model, data, tmp_path / "third").section("stress").is_measured


def test_what_was_measured_is_kept_after_an_interruption_and_not_for_other_weights_or_images(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    evaluate = trust_parts.evaluate

    def counted(*args: object, **options: object):
        asked.append(args)
        return evaluate(*args, **options)

    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trust_parts, "evaluate", counted)
    model, out = untrained(tmp_path / "run"), tmp_path / "card"
    with monkeypatch.context() as patched:
        patched.setattr(trust_parts, "stress_test", stop)
        with pytest.raises(Interrupted, match="the same command goes on"):
            card_of(model, data, out, skip=("explanations", "audit"))
    first = card_of(model, data, out)
    assert len(asked) == 1
    assert card_of(model, data, out) == first
    assert len(asked) == 1
    card_of(untrained(tmp_path / "other", seed=9), data, out)
    assert len(asked) == 2
    next((data / "test" / "class 1").iterdir()).unlink()
    changed = card_of(model, data, out)
    assert len(asked) == 3
    assert changed.section("data").values["measured"]["images"] == 11
    (out / "parts" / "accuracy.json").write_text("{")
    card_of(model, data, out)
    assert len(asked) == 4
    vitrail.evaluate(model, data, device="cpu", max_error=0.3)
    wanted = card_of(model, data, out).section("abstention")
    assert len(asked) == 5
    assert "answers of which at most 30 % are wrong" in dict(wanted.facts)


@pytest.mark.parametrize("classes", [2, 1000])
def test_a_foreign_file_of_two_or_a_thousand_classes_with_an_image_each_and_damaged_ones(
    tmp_path: Path, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = timm_file(tmp_path / "vit.safetensors", classes)
    names = imagenet_ids()[300:303] if classes == 1000 else ("0", "1")
    data = class_folders(tmp_path / "data", records(1, names))
    (data / names[0] / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    card = trust_card(file, data, skip=EVERYTHING, device="cpu")
    assert (tmp_path / "runs" / "trust-vit" / "trust.html").is_file()
    assert ("left out as unreadable", "1 image") in card.section("accuracy").facts
    missing = dict(card.section("classes").facts).get("classes without an image here")
    assert missing == ("997 of 1,000: nothing is known" if classes == 1000 else None)
    assert card.section("weights").values["licence"].startswith("not stated")
    abstention = card.section("abstention")
    assert not abstention.is_measured
    assert "there are none" in abstention.sentences[1]


def test_a_class_missing_from_the_test_set_is_said(tmp_path: Path, data: Path) -> None:
    for file in (data / "test" / "class 2").iterdir():
        file.unlink()
    card = card_of(untrained(tmp_path / "run"), data, tmp_path / "card")
    assert ("classes without an image here", "1 of 3: nothing is known") in card.section("classes").facts


def test_what_cannot_be_is_one_sentence(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(tmp_path / "run")
    assert main(["trust", str(untrained(tmp_path / "mae", "mae", "mae_vit_ti16")), str(data)]) == 2
    assert "takes classifiers" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="leave out one of the two"):
        card_of(model, data, tmp_path / "card", explained=3)
    with pytest.raises(ConfigError, match="lies inside the data"):
        card_of(model, data, data / "card")
    with pytest.raises(DataError):
        card_of(model, tmp_path / "nothing", tmp_path / "card")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        card_of(model, data, tmp_path / "card")


def test_the_command_says_headlines_what_is_missing_and_where_the_page_is(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = untrained(tmp_path / "run"), tmp_path / "card"
    words = ["trust", str(model), str(data), "--out", str(out), "--skip", *EVERYTHING, "--device", "cpu"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.startswith("right (")
    assert said.count("not measured: ") >= 3
    assert said.splitlines()[-1].endswith("trust.html")
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == str(model)
