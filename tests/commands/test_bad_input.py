"""Whatever is given to whichever command: one sentence, exit code 2, no traceback, nothing left behind."""

from pathlib import Path

import pytest
from PIL import Image

from vitrail.cli import VERBS, main

# What stands for data, images, weights or a run in the commands below.
BAD_PATHS = {
    "missing": "no/such",
    "empty": "",
    "zero byte": "a\0b",
    "too long": "x" * 300,
    "nobody's home": "~nobody9/x",
    "a text file": "notes.txt",
    "an empty folder": "empty",
    "an empty file": "empty.csv",
    "bytes": "noise.bin",
    "a broken link": "nowhere",
    "a circle of links": "circle",
    "a pipe": "pipe",
    "a device": "/dev/null",
    "no text": "caf\udce9",
    "an option's look": "./--lr",
    "a lone image": "one.png",
}

COMMANDS = {
    "train": ["train", "{}"],
    "train detect": ["train", "{}", "--task", "detect"],
    "train segment": ["train", "{}", "--task", "segment"],
    "train weights": ["train", "digits", "--weights", "{}"],
    "pretrain": ["pretrain", "{}"],
    "pretrain weights": ["pretrain", "digits", "--weights", "{}"],
    "evaluate": ["evaluate", "{}", "digits"],
    "predict": ["predict", "{}", "one.png"],
    "embed": ["embed", "{}", "one.png", "--out", "features.npz"],
    "embed a search": ["embed", "--search", "{}", "--features", "{}"],
    "look": ["look", "{}"],
    "probe": ["probe", "{}", "digits"],
    "plan": ["plan", "{}"],
    "tour": ["tour", "--data", "{}"],
    "paper": ["paper", "mae-ratio", "--data", "{}"],
    "inspect": ["weights", "inspect", "{}"],
    "convert": ["weights", "convert", "{}", "--to", "timm", "--out", "converted"],
    "verify": ["weights", "verify", "{}"],
    "doctor": ["doctor", "{}"],
}

ACCEPTED = {("doctor", "a lone image"), ("pretrain", "a lone image"), ("doctor", "empty")}
"""What is no mistake, or reported as a finding with an exit code of its own."""


@pytest.fixture
def odd_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import os

    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing of the kind\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    Image.new("RGB", (32, 32), (9, 90, 200)).save(tmp_path / "one.png")
    return tmp_path


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_bad_path_ends_in_a_traceback(command: str, odd_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, wrong = everything(odd_files), []
    for kind, path in BAD_PATHS.items():
        if (command, kind) in ACCEPTED:
            continue
        words = [word.replace("{}", path) for word in COMMANDS[command]]
        try:
            code = main(words)
        except BaseException as error:
            wrong.append(f"{kind}: {type(error).__name__}: {error}")
            continue
        said = capsys.readouterr()
        if code not in ((1, 2) if command == "doctor" else (2,)):
            wrong.append(f"{kind}: exit code {code}")
        elif code == 2 and said.err.count("vitrail: ") != 1:
            wrong.append(f"{kind}: {said.err!r}")
        if "Traceback" in said.err + said.out:
            wrong.append(f"{kind}: a traceback")
    assert not wrong, "\n".join(wrong)
    assert everything(odd_files) == before, "a refused command leaves nothing behind"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("words", [["--nonsense"], ["--\x1b[31m"], ["-z"], ["\udce9"] * 9, ["--out"], ["--json=3"]])
def test_no_odd_word_ends_in_a_traceback(
    verb: str, words: list[str], odd_files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(odd_files)
    assert main([verb, *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("vitrail: ")
    assert "\x1b" not in said
    assert everything(odd_files) == before


@pytest.mark.parametrize(
    "words", ["embed w x --out f.npz", "stress w x", "predict w x", "look w", "doctor x", "tour", "probe w x", "models"]
)
def test_several_processes_do_not_write_the_files_of_one(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "x" / "a.png")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(words.split()) == 2
    assert "runs in one process; start it without torchrun" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x"], "nothing is left behind"
