"""A command that cannot write where it should says so before it does anything, and leaves nothing behind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from vitrail.cli import main
from vitrail.errors import ConfigError
from vitrail.runs.place import check_place


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of a few images each, in ``photos`` of the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (32, 32), (number * 40, 90, 7)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


COMMANDS = {
    "train": ["train", "photos"],
    "pretrain": ["pretrain", "photos"],
    "tour": ["tour", "--data", "photos"],
    "tour detect": ["tour", "--task", "detect"],
    "paper": ["paper", "mae-ratio", "--data", "photos"],
    "probe": ["probe", "weights.safetensors", "photos"],
    "convert": ["weights", "convert", "weights.safetensors", "--to", "timm"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "out", ["file.txt", "file.txt/run", "x" * 300, "", "/proc/run", "nowhere", "circle/run", "a\0b", "~nobody9/run"]
)
def test_an_impossible_place_is_refused_before_any_work(
    command: str, out: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file.txt").write_text("mine")
    (tmp_path / "weights.safetensors").write_text("not looked at")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "circle").symlink_to("circle")
    before = everything(tmp_path)
    if (command, out) == ("convert", "file.txt"):
        return  # a file of that name is replaced, once the weights have been read
    assert main([*COMMANDS[command], "--out", out]) == 2
    said = capsys.readouterr().err
    assert "--out" in said
    assert said.count("\n") == 1
    assert everything(tmp_path) == before
    assert (tmp_path / "file.txt").read_text() == "mine"


@pytest.mark.parametrize("command", [name for name, words in COMMANDS.items() if "photos" in words])
@pytest.mark.parametrize("out", ["photos", "photos/run", "photos/cat/deep/run", ".", "photos/../photos", "link/run"])
def test_a_place_at_in_or_above_the_data_is_refused(
    command: str, out: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.safetensors").write_text("not looked at")
    (tmp_path / "link").symlink_to(photos)
    before = everything(tmp_path)
    assert main([*COMMANDS[command], "--out", out]) == 2
    said = capsys.readouterr().err
    assert "photos" in said
    assert "beside it" in said
    assert said.count("\n") == 1
    assert everything(tmp_path) == before


def test_a_default_place_within_the_data_is_refused_too(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    before = everything(photos)
    assert main(["train", "."]) == 2
    assert "choose a folder beside it with --out" in capsys.readouterr().err
    assert everything(photos) == before


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody can write to, root included where the system lets us say so."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    folder.chmod(0o555)
    if os.geteuid() == 0:
        chattr = shutil.which("chattr")
        if chattr is None or subprocess.run([chattr, "+i", folder], capture_output=True, check=False).returncode:
            pytest.skip("this user may write anywhere")
    yield folder
    if os.geteuid() == 0:
        subprocess.run(["chattr", "-i", folder], check=False)
    folder.chmod(0o755)


def test_a_read_only_working_directory_is_named(read_only: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(read_only)
    with pytest.raises(ConfigError, match="choose another place with --out"):
        check_place(None, "runs/train-x")


def test_permissions_are_believed_where_they_bind(tmp_path: Path) -> None:
    """Run as a user without rights, since root may write anywhere."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    (tmp_path / "closed").mkdir(mode=0o700)
    code = (
        "import os; from vitrail.runs.place import check_place; from vitrail.errors import ConfigError\n"
        f"os.chdir('/'); os.setuid(65534)\n"
        f"try: check_place({str(tmp_path / 'closed' / 'run')!r}, '')\n"
        "except ConfigError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "choose another place with --out" in said


def test_a_good_place_is_returned_and_nothing_is_made(tmp_path: Path) -> None:
    assert check_place(str(tmp_path / "a" / "b"), "") == tmp_path / "a" / "b"
    assert check_place(None, tmp_path / "c", data=["digits", "no/such"]) == tmp_path / "c"
    assert not list(tmp_path.iterdir())


def test_a_place_beside_the_data_with_a_longer_name_is_no_part_of_it(photos: Path) -> None:
    assert check_place("photos-run", "", [str(photos)]) == Path("photos-run")
