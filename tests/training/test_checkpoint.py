from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from vitrail.errors import TrainingError, WeightsError
from vitrail.training import checkpoint
from vitrail.training.digests import damage


def save(folder: Path, step: int, best: bool = False, keep: int = 2, numbers: int = 3) -> Path:
    weight = torch.full((numbers,), float(step))
    return checkpoint.save(
        folder,
        step,
        model={"weight": weight},
        config={"step": step},
        training={"weight": weight, "step": step},
        best=best,
        keep=keep,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_whole(path: Path) -> bool:
    step = int(path.name.removeprefix("step_"))
    return bool(
        (load_file(path / "model.safetensors")["weight"] == step).all()
        and checkpoint.load_training(path)["step"] == step
    )


def test_a_checkpoint_holds_weights_settings_and_what_going_on_needs(tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoints", 120)
    assert path == tmp_path / "checkpoints" / "step_00000120"
    assert names(path) == ["config.json", "digests.json", "model.safetensors", "training.pt"]
    assert (path / "config.json").read_text() == '{\n  "step": 120\n}\n'
    assert is_whole(path)


def test_digests_of_weights_in_memory_are_those_of_the_file_for_every_kind_of_tensor(tmp_path: Path) -> None:
    model = {
        "transposed": torch.randn(5, 7).T,
        "half": torch.randn(3, 3, dtype=torch.bfloat16),
        "whole": torch.arange(9),
        "flags": torch.tensor([True, False]),
        "one": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.empty(0, 4),
        "parameter": torch.nn.Parameter(torch.randn(1_000_003)),
    }
    path = checkpoint.save(tmp_path, 1, model=model, config={}, training={}, best=True, keep=1)
    assert damage(path) is None
    content = bytearray((path / "model.safetensors").read_bytes())
    for place in (0, 20, len(content) // 2, len(content) - 1):
        content[place] ^= 8
        (path / "model.safetensors").write_bytes(content)
        assert "model.safetensors is not what was saved" in (damage(path) or "")
        content[place] ^= 8


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step, best=step == 2)
    assert names(tmp_path) == ["best", "last", "step_00000002", "step_00000005", "step_00000006"]
    assert (tmp_path / "last").read_text() == "step_00000006\n"
    assert (tmp_path / "best").read_text() == "step_00000002\n"


def test_the_last_one_stays_even_if_none_is_to_be_kept(tmp_path: Path) -> None:
    save(tmp_path, 1, keep=0)
    save(tmp_path, 2, keep=0)
    assert names(tmp_path) == ["last", "step_00000002"]


def test_every_way_to_name_a_checkpoint_finds_it(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    first, second = save(folder, 1, best=True), save(folder, 2)
    assert checkpoint.resolve(tmp_path) == first
    assert checkpoint.resolve(tmp_path, prefer="last") == second
    assert checkpoint.resolve(folder) == first
    assert checkpoint.resolve(folder / "last") == second
    assert checkpoint.resolve(folder / "best") == first
    assert checkpoint.resolve(str(second)) == second
    assert checkpoint.is_checkpoint(tmp_path)


def test_without_a_best_one_the_last_is_meant(tmp_path: Path) -> None:
    path = save(tmp_path / "checkpoints", 1)
    assert checkpoint.resolve(tmp_path) == path


def test_a_wrong_path_gets_the_nearest_right_one(tmp_path: Path) -> None:
    save(tmp_path / "digits" / "checkpoints", 1)
    with pytest.raises(WeightsError, match="'digits'"):
        checkpoint.resolve(tmp_path / "digit")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        checkpoint.resolve(tmp_path)
    assert not checkpoint.is_checkpoint(tmp_path)


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    save(tmp_path, 1, best=True)
    save(tmp_path, 2)
    save(tmp_path, 3)
    (tmp_path / "step_00000004.tmp").mkdir()
    (tmp_path / "step_00000004.tmp" / "training.pt").write_text("half")
    (tmp_path / "last.tmp").write_text("step_0")
    checkpoint.point(tmp_path, "last", 2)  # as if killed before the pointer moved
    checkpoint.clean(tmp_path)
    assert names(tmp_path) == ["best", "last", "step_00000001", "step_00000002"]


def no_space(*args: Any, **kwargs: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_space_in_safetensors(*args: Any, **kwargs: Any) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("where", "failure"),
    [
        ("save_file", no_space_in_safetensors),
        ("torch.save", no_space),
        ("_write", no_space),
        ("_make_durable", no_space),
    ],
)
def test_a_full_disk_keeps_the_previous_checkpoint_and_says_so_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, failure: Any
) -> None:
    before = save(tmp_path, 1, best=True)
    files = names(tmp_path)
    monkeypatch.setattr(f"vitrail.training.checkpoint.{where}", failure)
    with pytest.raises(TrainingError, match=f"(?s)No space left.*MiB are free.*{before.name} is untouched") as caught:
        save(tmp_path, 2, best=True)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == files
    assert is_whole(checkpoint.resolve(tmp_path, "last"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.name == "nt" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("room", range(0, 92, 4))
def test_a_disk_that_is_really_full_keeps_the_previous_checkpoint(small_disk: Path, room: int) -> None:
    # A checkpoint takes 92 KiB here, so the disk fills up at every place of it in turn.
    before = save(small_disk, 1, numbers=10_000)
    free = shutil.disk_usage(small_disk).free
    (small_disk / "ballast").write_bytes(bytes(free - room * 1024))
    with pytest.raises(TrainingError, match=r"No space left.*step_00000001 is untouched"):
        save(small_disk, 2, numbers=10_000)
    assert names(small_disk) == ["ballast", "last", before.name]
    assert is_whole(checkpoint.resolve(small_disk, "last"))


def test_a_damaged_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    content = (path / "training.pt").read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\x80\x02cos\nsystem\n"):
        (path / "training.pt").write_bytes(damaged)
        with pytest.raises(TrainingError, match="older checkpoint"):
            checkpoint.load_training(path)


def test_a_file_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "executed"),)

    path = save(tmp_path, 1)
    torch.save({"weight": Evil()}, path / "training.pt")
    with pytest.raises(TrainingError):
        checkpoint.load_training(path)
    assert not (tmp_path / "executed").exists()
