"""A library in the kernel's cache is loaded only if it is one's own, whole, and as it was written."""

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vitrail.layers import attention_cpu, kernel_cache
from vitrail.layers.kernel_cache import NotKept, compiler_words, load_kept

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is for Linux")
GOOD = 'extern "C" int answer() { return 42; }\n'
PLANTED = 'extern "C" int answer() { return 666; }\n'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "answer.cpp"
    file.write_text(GOOD)
    return file


def loaded(source: Path, folder: Path, compiler: tuple[str, ...] = ("g++",)) -> int:
    return load_kept("kernel", source, compiler, ["-O0", "-fPIC"], folder).answer()


def planted(tmp_path: Path) -> bytes:
    (tmp_path / "planted.cpp").write_text(PLANTED)
    command = ["g++", "-shared", "-fPIC", str(tmp_path / "planted.cpp"), "-o", str(tmp_path / "planted.so")]
    subprocess.run(command, check=True)
    return (tmp_path / "planted.so").read_bytes()


def test_it_is_compiled_once_into_a_folder_of_ones_own_and_then_found(
    source: Path, tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "new" / "vitrail"
    assert loaded(source, folder) == 42
    assert folder.stat().st_mode & 0o777 == 0o700
    assert sorted(file.name for file in folder.iterdir()) == ["kernel.json", "kernel.so"]
    monkeypatch.setattr(kernel_cache.subprocess, "Popen", None)
    assert loaded(source, folder) == 42


DAMAGES = {
    "cut in half": lambda so, about, other: so.write_bytes(so.read_bytes()[: so.stat().st_size // 2]),
    "empty": lambda so, about, other: so.write_bytes(b""),
    "no library": lambda so, about, other: so.write_bytes(b"x" * so.stat().st_size),
    "replaced": lambda so, about, other: so.write_bytes(other),
    "a link": lambda so, about, other: (so.rename(so.with_suffix(".old")), so.symlink_to(so.with_suffix(".old"))),
    "a folder": lambda so, about, other: (so.unlink(), so.mkdir()),
    "a pipe": lambda so, about, other: (so.unlink(), os.mkfifo(so)),
    "without its digest": lambda so, about, other: about.unlink(),
    "with a damaged digest": lambda so, about, other: about.write_text("{"),
    "writable for others": lambda so, about, other: so.chmod(0o777),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_or_planted_library_is_compiled_anew_once(damage, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vitrail"
    load_kept("kernel", source, ["g++"], ["-O0", "-fPIC"], folder)
    library, about = folder / "kernel.so", folder / "kernel.json"
    replacement = folder / "kernel.copy"  # One that is mapped keeps its own file.
    replacement.write_bytes(library.read_bytes())
    replacement.replace(library)
    damage(library, about, planted(tmp_path))
    child = f"""
from pathlib import Path
from vitrail.layers.kernel_cache import load_kept
print(load_kept("kernel", Path({str(source)!r}), ["g++"], ["-O0", "-fPIC"], Path({str(folder)!r})).answer())
"""
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "42"), done.stderr
    assert json.loads(about.read_text())["bytes"] == library.stat().st_size


def test_a_whole_library_that_cannot_be_loaded_is_compiled_anew(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vitrail"
    folder.mkdir(mode=0o700)
    content = b"of another system"
    (folder / "kernel.so").write_bytes(content)
    (folder / "kernel.so").chmod(0o700)
    (folder / "kernel.json").write_text(json.dumps(kernel_cache._facts(content)))
    assert loaded(source, folder) == 42


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_nothing_is_loaded_from_or_left_in_a_folder_that_others_may_write_to(mode: int, source: Path, tmp_path) -> None:
    folder = tmp_path / "vitrail"
    folder.mkdir()
    content = planted(tmp_path)
    (folder / "kernel.so").write_bytes(content)
    (folder / "kernel.json").write_text(json.dumps(kernel_cache._facts(content)))
    folder.chmod(mode)
    assert loaded(source, folder) == 42
    assert sorted(file.name for file in folder.iterdir()) == ["kernel.json", "kernel.so"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("what", ["folder", "library"])
def test_nothing_of_another_user_is_loaded(what: str, source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vitrail"
    folder.mkdir(mode=0o700)
    content = planted(tmp_path)
    (folder / "kernel.so").write_bytes(content)
    (folder / "kernel.so").chmod(0o700)
    (folder / "kernel.json").write_text(json.dumps(kernel_cache._facts(content)))
    os.chown(folder if what == "folder" else folder / "kernel.so", 12345, 12345)
    assert loaded(source, folder) == 42


def test_a_linked_folder_and_one_that_is_a_file_are_not_used(source: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    assert loaded(source, tmp_path / "link") == loaded(source, tmp_path / "file") == 42
    assert not list((tmp_path / "real").iterdir())


def test_a_compiler_that_hangs_is_ended_with_what_it_started(source: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(kernel_cache, "LONGEST_COMPILATION", 0.5)
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 300 &\nwait\n")
    slow.chmod(0o700)
    start = time.monotonic()
    with pytest.raises(NotKept, match=r"slow did not end within 0\.5 seconds"):
        loaded(source, tmp_path / "vitrail", (str(slow),))
    assert time.monotonic() - start < 100  # of the 300 that it would take
    assert not list((tmp_path / "vitrail").iterdir())


@pytest.mark.parametrize("compiler", ["g++ 'odd", '"', "g++ \\", "", "  ", "nothing-of-this-name", "/", "false", "\0"])
def test_an_odd_compiler_is_one_sentence(compiler: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("VITRAIL_CPU_KERNEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(attention_cpu.shutil, "which", lambda name: None)
    monkeypatch.setattr(attention_cpu.os, "environ", {**os.environ, "CXX": compiler})
    with pytest.raises(attention_cpu.Missing) as caught:
        attention_cpu.library.__wrapped__()
    assert "\n" not in str(caught.value)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_quotes_in_a_compiler_are_read_as_a_shell_reads_them() -> None:
    assert compiler_words('"/opt/my compiler/g++" -pipe') == ["/opt/my compiler/g++", "-pipe"]
    with pytest.raises(NotKept, match="CXX"):
        compiler_words("'g++")


@pytest.mark.slow
def test_the_kernel_itself_is_compiled_and_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("VITRAIL_CPU_KERNEL", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert isinstance(attention_cpu.library.__wrapped__(), ctypes.CDLL)
    monkeypatch.setattr(kernel_cache.subprocess, "Popen", None)
    attention_cpu.library.__wrapped__()
    assert (tmp_path / "vitrail").stat().st_mode & 0o777 == 0o700
