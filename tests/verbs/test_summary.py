"""What a training says of itself at its start, and what commands say to run next."""

import re
import shlex
from pathlib import Path

import pytest

import vitrail
import vitrail.settings
from vitrail.arguments import options_of
from vitrail.cli import VERBS, main, parse

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
    assert text["weights"].startswith("from random weights: ")
    assert re.match(r"scratch: 1 epochs of \d+ steps, batch 256, rate 0\.\d+ \(adamw, cosine\)", text["recipe"])
    assert text["device"] == "cpu, fp32" or "bf16" in text["device"]
    assert text["run folder"] == "'my runs/a'"
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
    assert "mae_small: 1 epochs" in printed
    (line,) = next_commands(printed)
    assert main([*shlex.split(line)[1:], "--epochs", "1", "--batch-size", "256"]) == 0
    printed = capsys.readouterr().out
    assert """weights       from 'it'"'"'s mae'""" in printed


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
    known = {name for verb in VERBS.values() for name in options_of(getattr(vitrail.settings, verb.settings))}
    known |= {option.partition(".")[0] for option in known}  # a heading stands for all below it
    known |= {"--help", "--version", "--nproc-per-node", "--local-dir"}  # the latter of torchrun and hf
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
    assert option == "--help" or option in options_of(getattr(vitrail.settings, VERBS[verb].settings))
