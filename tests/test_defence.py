"""What the system refuses, anywhere, is one sentence and exit code 2; what is printed never fails."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vitrail.commands.models
from vitrail.cli import main
from vitrail.defence import ADVICE, sentence

VITRAIL = [sys.executable, "-m", "vitrail"]


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every listing of models fail as a system does."""

    def fail(settings: object) -> None:
        raise error

    monkeypatch.setattr(vitrail.commands.models, "run", fail)


@pytest.mark.parametrize(
    "error",
    [
        *(OSError(number, os.strerror(number), "/a/file") for number in ADVICE),
        OSError("no number"),
        MemoryError(),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        UnicodeEncodeError("ascii", "\xe4", 0, 1, "ordinal not in range"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB\nmore lines"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: not enough memory"),
        RuntimeError("unable to mmap 128 bytes from file </torch_1>: Cannot allocate memory (12)"),
        RuntimeError("Could not determine home directory."),
        RuntimeError("Symlink loop from '/a/b'"),
        ValueError("embedded null byte"),
        RuntimeError("PytorchStreamWriter failed writing file data/0: No space left on device"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_with(error, monkeypatch)
    assert main(["models"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("vitrail: ")
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_advice_about_memory_names_options_that_help() -> None:
    said = sentence(RuntimeError("CUDA out of memory"))
    assert said is not None
    assert "--batch-size" in said
    assert "--loader.workers 0" in str(sentence(OSError(errno.EMFILE, "Too many open files")))


def test_a_fault_of_the_code_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sentence(TypeError("a fault")) is None
    assert sentence(RuntimeError("shapes do not fit")) is None
    failing_with(TypeError("a fault"), monkeypatch)
    with pytest.raises(TypeError):
        main(["models"])


def test_names_in_errors_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "no/such\x1b[2J\nfolder\u202e"]) == 2
    said = capsys.readouterr().err
    assert "\\x1b[2J\\nfolder\\u202e" in said
    assert "\x1b" not in said
    assert said.count("\n") == 1


def shell(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VITRAIL": f"{sys.executable} -m vitrail", **env}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("$VITRAIL --help >&-", 0),
        ("$VITRAIL --help 2>&- >&-", 0),
        ("$VITRAIL --help <&-", 0),
        ("$VITRAIL trian 2>&-", 2),
        ("set -o pipefail; $VITRAIL --help | true", 0),
        ("$VITRAIL --help > /dev/full", 2),
        ("$VITRAIL trian 2> /dev/full", 2),
    ],
)
def test_closed_and_full_streams_are_survived(line: str, code: int) -> None:
    done = shell(line)
    assert done.returncode == code
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr


def test_a_terminal_without_unicode_gets_a_table_all_the_same() -> None:
    done = shell("$VITRAIL paper", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert "mae-ratio" in done.stdout


def test_a_file_opened_by_a_process_without_streams_is_not_printed_into(tmp_path: Path) -> None:
    code = (
        "import sys; from vitrail.defence import open_closed_streams; open_closed_streams()\n"
        f"file = open({str(tmp_path / 'data')!r}, 'w'); assert file.fileno() > 2\n"
        "print('astray'); print('astray', file=sys.stderr); import os; os.system('echo astray')"
    )
    subprocess.run(["bash", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code], check=True)
    assert (tmp_path / "data").read_text() == ""


def test_help_and_a_typo_answer_at_once() -> None:
    """Without torch, which takes seconds to import; the time itself depends on the machine."""
    code = (
        "import sys; from vitrail.cli import main; main(sys.argv[1:])\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'PIL', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    for words in (["--help"], ["trian"], ["train", "x", "--learning-rate", "3"], ["train", "x", "--lr", "nan"]):
        assert subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=False).returncode == 0
