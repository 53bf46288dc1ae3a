"""What a run has saved survives whatever happens to its folder, and the sentence says what to do."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.attack.runs import finish, start, words
from tests.support.forks import PATIENCE
from tests.training.outcome import outcome, rows
from tests.training.toys import ToyBatches, train
from vitrail.cli import main
from vitrail.config import Run
from vitrail.errors import TrainingError, WeightsError
from vitrail.training import checkpoint
from vitrail.training.digests import damage


def slowly(*values: Any) -> list[Any]:
    """Return parameters that are tried with the slow tests only: they are like one that is always tried."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def interrupted(folder: Path, step: int = 11) -> None:
    """Leave a toy's run behind that was stopped in the middle of an epoch."""

    class Stopping(ToyBatches):
        def start(self, first: int) -> Iterator[list[dict[str, Any]]]:
            for number, micro_batches in enumerate(super().start(first), first + 1):
                if number == step:
                    raise KeyboardInterrupt
                yield micro_batches

    with pytest.raises(KeyboardInterrupt):
        train(folder, batches=Stopping(micro_batches=2), run=EVERY)


EVERY = Run(device="cpu", precision="fp32", save_every=0.6, evaluate_every=0.8, keep=99)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("undisturbed")
    train(folder, run=EVERY)
    return outcome(folder)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(folder: Path, undisturbed: Any) -> bool:
    there = outcome(folder)
    return {**there, "checkpoints": 0} == {**undisturbed, "checkpoints": 0}


POINTERS: dict[str, Callable[[Path], Any]] = {
    "missing": lambda last: last.unlink(),
    "empty": lambda last: last.write_text(""),
    "mistyped": lambda last: last.write_text("step_0000012"),
    "of a checkpoint that is not there": lambda last: last.write_text("step_00000007\n"),
    "leading out of the folder": lambda last: last.write_text("../../elsewhere"),
    "of bytes that are no text": lambda last: last.write_bytes(bytes(range(128, 256))),
}


@pytest.mark.parametrize("how", POINTERS)
def test_a_damaged_pointer_deletes_nothing_and_the_newest_whole_checkpoint_is_taken_and_said(
    how: str, tmp_path: Path, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(tmp_path)
    folder = tmp_path / "checkpoints"
    there = sorted(path.name for path in folder.glob("step_*"))
    POINTERS[how](folder / "last")
    train(tmp_path, run=EVERY)
    assert set(there) <= {path.name for path in folder.iterdir()}
    assert f"going on from the newest whole one, {there[-1]}" in capsys.readouterr().err
    assert same(tmp_path, undisturbed)


@pytest.mark.parametrize("seed", [*range(5), *slowly(*range(5, 12))])
def test_a_flipped_bit_in_any_file_of_the_last_checkpoint_is_found_and_the_one_before_is_taken(
    seed: int, tmp_path: Path, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(tmp_path)
    draw = random.Random(seed)
    last = checkpoint.resolve(tmp_path, "last")
    files = sorted(last.iterdir())
    file = files[seed % len(files)]
    content = bytearray(file.read_bytes())
    place = draw.randrange(len(content))
    content[place] ^= 1 << draw.randrange(8)
    file.write_bytes(content)
    train(tmp_path, run=EVERY)
    assert same(tmp_path, undisturbed), f"{file.name}, byte {place}"
    if damage(last.with_name(last.name + ".damaged")) is not None:
        assert f"{last.name} is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_two_thousand_flipped_bits_are_found_or_change_no_number(tmp_path: Path) -> None:
    interrupted(tmp_path)
    last = checkpoint.resolve(tmp_path, "last")
    before = checkpoint.load_training(last)
    draw, unnoticed = random.Random(7), 0
    for _ in range(2000):
        file = draw.choice(sorted(last.iterdir()))
        content = file.read_bytes()
        flipped = bytearray(content)
        flipped[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        file.write_bytes(flipped)
        if damage(last) is None:
            unnoticed += 1
            assert file.name == "training.pt"
            assert repr(checkpoint.load_training(last)) == repr(before)
        file.write_bytes(content)
    assert damage(last) is None
    assert unnoticed < 1000


def test_where_no_checkpoint_is_whole_nothing_is_changed(tmp_path: Path) -> None:
    interrupted(tmp_path)
    for file in (tmp_path / "checkpoints").glob("step_*/training.pt"):
        file.write_bytes(file.read_bytes()[:-100])
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    with pytest.raises(TrainingError, match=r"no checkpoint in .* is whole .*nothing was changed"):
        train(tmp_path, run=EVERY)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_a_checkpoint_of_an_older_vitrail_without_digests_still_goes_on(tmp_path: Path, undisturbed: Any) -> None:
    interrupted(tmp_path)
    for file in tmp_path.rglob("digests.json"):
        file.unlink()
    for file in tmp_path.rglob("training.pt"):
        known = torch.load(file, weights_only=True)
        torch.save({name: known[name] for name in ("learner", "state")}, file)
    train(tmp_path, run=EVERY)
    assert same(tmp_path, undisturbed)


def test_opening_a_checkpoint_with_a_flipped_bit_names_it_and_another(tmp_path: Path) -> None:
    interrupted(tmp_path)
    best = checkpoint.resolve(tmp_path, "best")
    content = bytearray((best / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (best / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model.safetensors is not what was saved.*give another one: .*step_"):
        checkpoint.check_whole(best)


def test_the_rows_of_a_resumed_run_are_those_of_an_undisturbed_one(tmp_path: Path) -> None:
    train(tmp_path / "undisturbed", run=EVERY)
    for step in (4, 8, 12, 19):
        interrupted(tmp_path / "resumed", step)
    train(tmp_path / "resumed", run=EVERY)
    ours, theirs = (
        [{**row, "images_per_second": 0} for row in rows(tmp_path / name)] for name in ("resumed", "undisturbed")
    )
    assert ours == theirs


def test_a_resume_that_computes_otherwise_says_that_it_is_not_bit_for_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(tmp_path)
    torch.set_num_threads(2)
    train(tmp_path, run=EVERY)
    assert "not bit for bit what an undisturbed run would have computed (threads: 1, now 2)" in capsys.readouterr().err


OPTIONS = ["--image-size", "32", "--channels", "1", "--epochs", "1", "--batch-size", "64", "--labels", "128"]
MODEL = ["--architecture.patch-size", "16", "--architecture.width", "32", "--architecture.depth", "1"]
SMALL = ["train", "digits", *OPTIONS, *MODEL, "--architecture.num-heads", "2", "--run.device", "cpu"]


def run_small(out: Path, *more: str) -> int:
    return main([*SMALL, "--out", str(out), *more])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    assert run_small(out) == 0
    return out


TWICE = ("--epochs", "2", "--run.save-every", "1")


@pytest.fixture(scope="module")
def saved_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twice") / "run"
    assert run_small(out, *TWICE) == 0
    return out


def times(run: Path) -> dict[str, int]:
    """When each file of a run was written, but for the lock, in which each process writes its number."""
    return {str(path): path.stat().st_mtime_ns for path in run.rglob("*") if path.name != ".lock"}


def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.mark.parametrize("content", [b"{", *slowly(b"", b"[]", b"\xff\xfe", b"{" * 100_000)])
def test_a_damaged_config_is_restored_from_the_last_checkpoint(
    content: bytes, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished, tmp_path)
    whole = json.loads((run / "config.json").read_text())
    (run / "config.json").write_bytes(content)
    assert run_small(run, "--lr", "0.5") == 2, "the settings that are restored decide whose run it is"
    assert "holds another run" in capsys.readouterr().err
    assert (run / "config.json").read_bytes() == content
    assert run_small(run) == 0
    assert "restored from the last checkpoint" in capsys.readouterr().out
    assert {**json.loads((run / "config.json").read_text()), "out": 0} == {**whole, "out": 0}


def test_a_damaged_config_without_any_checkpoint_is_one_sentence_and_nothing_is_written(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished, tmp_path)
    shutil.rmtree(run / "checkpoints")
    (run / "config.json").write_text("{")
    before = times(run)
    assert run_small(run) == 2
    said = capsys.readouterr().err
    assert "config.json is damaged" in said
    assert said.count("\n") == 1
    assert times(run) == before


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\n", *slowly(b'{"step": "x"}\n', b"[1]\n", b"null\nnull\n", b"{" * 50_000 + b"\n")]
)
def test_damaged_rows_are_left_out_and_said(
    content: bytes, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(finished, tmp_path)
    whole = rows(run)
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(content)
    assert run_small(run) == 0
    assert "damaged line" in capsys.readouterr().err
    assert rows(run) == whole


IN_A_CHECKPOINT = ("config.json", "digests.json", "images.tsv.gz", "model.safetensors", "training.pt")


@pytest.mark.parametrize("name", IN_A_CHECKPOINT)
def test_a_command_goes_on_from_the_checkpoint_before_one_with_a_flipped_bit_in_any_file(
    name: str, saved_twice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(saved_twice, tmp_path)
    last = checkpoint.resolve(run, "last")
    # What is learned of the finished classifier (calibration) is not of the training: predict refuses it where damaged.
    of_the_training = {path.name for path in last.iterdir() if path.stem != "calibration"}
    assert set(IN_A_CHECKPOINT) == of_the_training
    whole = (last / "model.safetensors").read_bytes()
    content = bytearray((last / name).read_bytes())
    content[len(content) // 3] ^= 4
    with (last / name).open("r+b") as file:  # in place, as disks do: what shares the bytes has them too
        file.write(content)
    assert run_small(run, *TWICE) == 0
    assert f"{last.name} is damaged" in capsys.readouterr().err
    assert (last / "model.safetensors").read_bytes() == whole


def test_the_settings_of_a_run_are_not_written_again_where_they_are_the_same(finished: Path, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    assert run_small(run) == 0
    before = (run / "config.json").stat()
    assert run_small(run) == 0
    assert (run / "config.json").stat().st_ino == before.st_ino
    assert (run / "config.json").stat().st_mtime_ns == before.st_mtime_ns


MISTAKES = [
    ["--batch-size", "0"],
    ["--freeze", "99"],
    ["--run.precision", "fp16"],
    ["--tune-blocks", "1", "--cache-features", "on", "--augment.mixup", "0.4", "--weights", "RUN"],
]


@pytest.mark.parametrize("wrong", MISTAKES)
def test_a_refused_start_leaves_nothing(
    wrong: list[str], finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs" / "new" / "run"
    assert run_small(out, *(str(finished) if word == "RUN" else word for word in wrong)) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


LINKED = (
    "config.json",
    "metrics.jsonl",
    "summary.json",
    ".lock",
    "checkpoints",
    "figures",
    "report.html",
    "step",
    "last",
)


@pytest.mark.parametrize("name", LINKED)
def test_a_strangers_run_folder_with_links_never_makes_vitrail_write_outside_it(
    name: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, outside = copied(finished, tmp_path), tmp_path / "outside"
    place = {"step": checkpoint.resolve(run, "last"), "last": run / "checkpoints" / "last"}.get(name, run / name)
    if place.exists():
        place.rename(outside)
    else:
        outside.write_text("precious\n")
    place.symlink_to(outside)
    before = {str(path): path.read_bytes() for path in (outside, *outside.rglob("*")) if path.is_file()}
    code = run_small(run)
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert {str(path): path.read_bytes() for path in (outside, *outside.rglob("*")) if path.is_file()} == before
    assert code == 2
    assert "link" in said.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_in_place_of_a_pointer_is_not_waited_for(finished: Path, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    for pointer in ("last", "best"):
        (run / "checkpoints" / pointer).unlink(missing_ok=True)
        os.mkfifo(run / "checkpoints" / pointer)
    assert checkpoint.resolve(run).parent == run / "checkpoints"
    assert run_small(run) == 2


def test_a_lock_that_is_hard_linked_to_another_file_does_not_empty_it(finished: Path, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    (tmp_path / "precious").write_text("mine")
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").hardlink_to(tmp_path / "precious")
    assert run_small(run) == 2
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 3 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.name == "nt" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    "free", [0, 40_960, *(pytest.param(n * 4096, marks=pytest.mark.slow) for n in range(1, 60, 3))]
)
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on_when_there_is_room(
    free: int, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - free)))
    assert run_small(small_disk / "run") == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert "No space left" in said or "room" in said
    ballast.unlink()
    assert run_small(small_disk / "run") == 0


def test_a_read_only_run_folder_is_one_sentence(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_small(small_disk / "run") == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    capsys.readouterr()
    for out in ("run", "new"):
        assert run_small(small_disk / out) == 2
        said = capsys.readouterr().err
        assert "Read-only" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("tries", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_of_two_commands_at_the_same_moment_in_a_new_folder_one_wins_and_the_other_leaves_nothing(
    tries: int, tmp_path: Path
) -> None:
    for number in range(tries):
        out = tmp_path / str(number)
        given = {lr: [*SMALL, "--out", str(out), "--lr", lr] for lr in ("0.001", "0.002")}
        processes = {lr: start(command) for lr, command in given.items()}
        said = {lr: process.communicate()[0] for lr, process in processes.items()}
        codes = {lr: process.returncode for lr, process in processes.items()}
        assert sorted(codes.values()) == [0, 2], said
        winner, loser = sorted(codes, key=lambda lr: codes[lr])
        assert "Traceback" not in said[loser]
        assert json.loads((out / "config.json").read_text())["lr"] == float(winner)
        last = checkpoint.resolve(out, "last")
        assert json.loads((last / "config.json").read_text())["settings"]["lr"] == float(winner)
        assert finish(given[loser])[0] == 2, "the loser's command never goes on from the winner's weights"


@pytest.mark.parametrize("how", ["moved", pytest.param("removed", marks=pytest.mark.slow)])
def test_a_run_folder_that_goes_away_while_running_is_one_sentence(how: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    process = start(words("classify", out, epochs=500))
    deadline = time.monotonic() + PATIENCE
    while not (out / "checkpoints" / "last").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    out.rename(tmp_path / "elsewhere")
    if how == "removed":
        shutil.rmtree(tmp_path / "elsewhere")
    said, _ = process.communicate()
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert "moved or removed" in said
    if how == "moved":
        assert checkpoint.resolve(tmp_path / "elsewhere", "last").is_dir()


def test_a_folder_that_another_thread_trains_in_is_refused(tmp_path: Path) -> None:
    from vitrail.training.lock import sole_user

    refused: list[str] = []

    def other() -> None:
        try:
            with sole_user(tmp_path, main=True):
                pass
        except TrainingError as error:
            refused.append(str(error))

    with sole_user(tmp_path, main=True):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "in use by another run in this process" in refused[0]
