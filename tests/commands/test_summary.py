"""What a training says of itself at its start, and what commands say to run next."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import vitrail
import vitrail.settings
from tests.commands.data_sets import class_folders, records
from vitrail.arguments import options_of
from vitrail.cli import VERBS, main, parse
from vitrail.commands.tour import _next_steps
from vitrail.runs.next_steps import task_of
from vitrail.runs.progress import reported
from vitrail.runs.run_training import Result
from vitrail.tasks.registry import TASKS
from vitrail.weights.pretrained import pretrained as pretrained_encoders

TINY = ["--image-size", "32", "--channels", "1", "--architecture.patch-size", "8", "--architecture.width", "32"]
TINY += ["--architecture.depth", "1", "--architecture.num-heads", "2", "--epochs", "1", "--batch-size", "256"]
LINES = ["images", "classes", "model", "weights", "recipe", "device", "run folder"]


def next_commands(printed: str) -> list[str]:
    return re.findall(r"^next: (.*)$", printed, re.MULTILINE)


def check_taken(line: str) -> None:
    """Check that the command line parser takes a printed command."""
    program, verb, *words = shlex.split(line.partition("  # ")[0])
    assert program == "vitrail"
    assert verb in VERBS
    parse(verb, words)


def test_a_training_says_in_eight_lines_what_it_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--out", "my runs/a", *TINY, "--run.seed", "3"]) == 0
    printed = capsys.readouterr()
    said = {name: re.search(rf"^{name} {{2,}}(.*)$", printed.out, re.MULTILINE) for name in LINES}
    assert all(said.values()), printed.out
    text = {name: found.group(1) for name, found in said.items() if found}
    assert re.match(r"train 1,\d{3}, validation \d{3}, test 300 of digits", text["images"])
    assert text["classes"].startswith("10: 0, 1, 2")
    assert re.match(r"vit_ti16, \d+,\d+ parameters, input 32x32, grey", text["model"])
    assert text["weights"].startswith("from random weights: nothing pretrained was named. It costs: ")
    pretrained = re.search(r"vitrail train digits --weights (\S+) --channels 1$", text["weights"])
    assert pretrained
    assert pretrained[1] in pretrained_encoders(), "what is named can be had"
    assert re.match(r"scratch: 1 epoch of \d+ steps, batch 256, rate 0\.\d+ \(adamw, cosine\)", text["recipe"])
    assert text["device"] == "cpu, fp32" or "bf16" in text["device"]
    assert text["run folder"] == "'my runs/a'"
    assert len(re.findall(r"^model ", printed.out, re.MULTILINE)) == 1, "the model is named once"
    assert re.search(r"^expected time +\d+:\d\d by \d+ steps", printed.err, re.MULTILINE)
    for line in next_commands(printed.out):
        check_taken(line)
        assert main(shlex.split(line)[1:]) == 0  # what is printed works
    printed = capsys.readouterr()
    (line,) = next_commands(printed.out)
    check_taken(line)


def test_pretraining_leads_on_to_a_command_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    decoder = ["--decoder-width", "32", "--decoder-depth", "1"]
    assert main(["pretrain", "digits", "--out", "it's mae", *TINY, *decoder]) == 0
    printed = capsys.readouterr().out
    assert "classes       none: mae learns without labels, 75.0 % of each image hidden" in printed
    assert "mae_small: 1 epoch of" in printed
    (line,) = next_commands(printed)
    assert main([*shlex.split(line)[1:], "--epochs", "1", "--batch-size", "256"]) == 0
    printed = capsys.readouterr().out
    assert """weights       from 'it'"'"'s mae'""" in printed


def test_an_encoder_of_images_without_labels_leads_on_to_what_can_be_done_with_them(
    digit_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vitrail train` refuses a folder without classes: it must not be what is to be run next."""
    flat = tmp_path / "flat images"
    flat.mkdir()
    for number, file in enumerate(sorted(digit_files.rglob("*.png"))[:12]):
        shutil.copy(file, flat / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    decoder = ["--decoder-width", "32", "--decoder-depth", "1", "--loader.workers", "0"]
    assert main(["pretrain", "flat images", "--out", "mae", *TINY, *decoder]) == 0
    said = capsys.readouterr().out
    assert "1 epoch of 1 step, batch" in said
    (line,) = next_commands(said)
    assert line == "vitrail look mae"
    assert main(shlex.split(line)[1:]) == 0  # what is printed works
    assert not next_commands(capsys.readouterr().out)


@pytest.mark.parametrize(("data", "task"), [("digits", "classify"), ("scenes", "detect"), ("nowhere", None)])
def test_the_task_of_a_data_set_is_told(data: str, task: str | None) -> None:
    assert task_of(data) == task


def test_what_the_tour_says_to_run_next_works_on_digits_and_on_folders_with_odd_names(tmp_path: Path) -> None:
    """Digits are grey: without --channels 1 the encoder of the tour is refused."""
    run = Result(tmp_path / "it's mae", {}, {})
    _, train, look = _next_steps(vitrail.settings.TourSettings(), run)
    check_taken(train)
    check_taken(look)
    assert "--channels 1" in train
    train, _ = _next_steps(vitrail.settings.TourSettings(data="my photos"), run)
    assert shlex.split(train.partition("  # ")[0])[2:] == ["my photos", "--weights", str(run.folder)]


def test_what_is_left_is_told_by_the_images_and_not_by_the_opening_of_the_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("vitrail.output.time.monotonic", lambda: clock[0])

    def images() -> Iterator[int]:
        clock[0] += 60  # the model is opened
        for number in range(11):
            clock[0] += 1
            yield number

    assert list(reported(images(), 11, "images")) == list(range(11))
    assert capsys.readouterr().err.splitlines() == ["6 of 11 images, about 5 seconds left"]


@pytest.mark.parametrize(("model", "encoder"), [("mae_vit_b16", "vit_b16"), ("simmim_swin_t", "swin_t")])
@pytest.mark.parametrize("verb", ["train", "pretrain"])
def test_a_model_of_pretraining_is_no_backbone_to_start_from_and_the_sentence_names_the_backbone(
    verb: str, model: str, encoder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb, "digits", "--model", model, "--out", str(tmp_path / "run")]) == 2
    assert f"--model {encoder}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_look_predict_and_probe_end_with_what_to_run_next(
    classifier: Path, digit_files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(next(digit_files.rglob("*.png")))
    for words in (["predict", str(classifier), image], ["look", str(classifier), image, "--out", str(tmp_path / "x")]):
        assert main(words) == 0
        (line,) = next_commands(capsys.readouterr().out)
        check_taken(line)
    for form in (["--json"], ["--format", "csv"]):
        assert main(["predict", str(classifier), image, *form]) == 0
        assert not next_commands(capsys.readouterr().out), "what machines read holds nothing else"


def test_every_option_named_in_a_message_of_the_code_exists() -> None:
    """Hints that the code prints name options; each is one of some command's."""
    kinds = [getattr(vitrail.settings, verb.settings) for verb in VERBS.values()]
    kinds += [kind for spec in TASKS.values() for kind in (spec.settings, *spec.answers)]
    known = {name for kind in kinds for name in options_of(kind)}
    known |= {option.partition(".")[0] for option in known}  # a heading stands for all below it
    known |= {
        "--help",
        "--help-all",
        "--version",
        "--nproc-per-node",
        "--local-dir",
        "--revision",
    }  # the latter of torchrun and hf
    root = Path(vitrail.__file__).parent
    for file in root.rglob("*.py"):
        if file.name == "synonyms.py":
            continue
        for line in file.read_text().splitlines():
            if line.strip().startswith("#"):
                continue
            for option in re.findall(r"(?<![\w`<-])(--[a-z][a-z-]*(?:\.[a-z][a-z-]*)?)(?![\w.*<{])", line):
                assert option in known or option.rstrip("-") != option, f"{file.name} names {option}: {line.strip()}"


def hints_in_the_code() -> list[tuple[str, str]]:
    """Collect the verb and each option of every ``vitrail VERB ... --option`` in strings of the code."""
    verbs = "|".join(VERBS)
    found = set()
    for file in Path(vitrail.__file__).parent.rglob("*.py"):
        for line in re.findall(rf"vitrail ((?:{verbs})(?: [A-Za-z0-9_.-]+)*)", file.read_text()):
            verb, *words = line.split()
            found |= {(verb, word.rstrip(".")) for word in words if word.startswith("--")}
    return sorted(found)


@pytest.mark.parametrize(("verb", "option"), hints_in_the_code())
def test_hints_in_the_code_are_commands_that_the_parser_takes(verb: str, option: str) -> None:
    kinds = [spec.settings for spec in TASKS.values() if spec.verb == verb]
    shared = getattr(vitrail.settings, VERBS[verb].settings)
    kinds = kinds or [shared, *(own for spec in TASKS.values() for own in spec.answers if issubclass(own, shared))]
    assert option in ("--help", "--help-all") or any(option in options_of(kind) for kind in kinds)


def test_a_training_that_is_refused_says_nothing_but_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "data", records(4))
    words = [*TINY, "--image-size", "None", "--validation-share", "0", "--run.patience", "3"]
    assert main(["train", "data", *words]) == 2
    printed = capsys.readouterr()
    assert "patience counts evaluations" in printed.err
    assert not printed.out
