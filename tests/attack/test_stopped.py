"""Signals, and processes of torchrun that are killed or stopped: what was saved stays, and it is said how to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.attack.runs import start, words
from tests.support.forks import PATIENCE, Command, ranks
from vitrail.training.checkpoint import resolve
from vitrail.training.digests import damage

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


def wait_for_checkpoint(out: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (out / "checkpoints" / "last").is_file():
        assert time.monotonic() < deadline, "nothing is saved"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("first", "second", "pause", "workers"),
    [
        (signal.SIGTERM, signal.SIGTERM, 0.02, 2),
        *(
            pytest.param(first, second, pause, workers, marks=pytest.mark.slow)
            for first in SIGNALS
            for second in SIGNALS
            for pause in (0.0, 0.02)
            for workers in (0, 2)
        ),
    ],
)
def test_two_signals_within_twenty_milliseconds_save_and_say_how_to_go_on(
    first: signal.Signals, second: signal.Signals, pause: float, workers: int, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(words("classify", out, epochs=500, run__save_every=0.1, loader__workers=workers))
    wait_for_checkpoint(out)
    os.killpg(process.pid, first)
    time.sleep(pause)
    os.killpg(process.pid, second)
    said, _ = process.communicate()
    assert process.returncode in (128 + first, 128 + second), said
    assert "Traceback" not in said
    assert "run the same command again" in said
    assert damage(resolve(out, "last")) is None


def test_a_hangup_that_is_ignored_as_under_nohup_stays_ignored_and_no_other_signal_does() -> None:
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from vitrail.training.signals import StopSignals\n"
        "with StopSignals() as signals:\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    assert not signals.received\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    assert signals.received == signal.SIGINT\n"
        "with StopSignals() as signals:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert signals.received == signal.SIGTERM\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


LIMIT = 6


def for_long(out: Path) -> list[str]:
    return words("classify", out, epochs=500, run__timeout=LIMIT, run__save_every=0.1)


def test_a_rank_that_is_stopped_is_named_by_the_other(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first, second = (Command(for_long(out), merged=True, environment=place) for place in ranks(2))
    try:
        wait_for_checkpoint(out)
        os.kill(second.pid, signal.SIGSTOP)
        said, _ = first.communicate()
    finally:
        for rank in (first, second):
            rank.kill()
    assert first.returncode not in (0, None)
    assert "rank 1" in said, said
    assert "run the same command again" in said, said
    assert "Traceback" not in said, said
    assert damage(resolve(out, "last")) is None


def start_ranks(out: Path) -> subprocess.Popen[str]:
    """Train in two processes, from which a third may be chosen as the victim."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=0", "-m", "vitrail"]
    return subprocess.Popen(
        [*command, *for_long(out)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def process_of(rank: int, launcher: int) -> int:
    """Return the number of the process that is a rank, by its environment."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
            if f"LOCAL_RANK={rank}".encode() in variables and _parent(folder) == launcher:
                return int(folder.name)
        except (OSError, ValueError):
            continue
    raise AssertionError(f"there is no rank {rank}")


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow  # torchrun waits half a minute for a stopped process before it kills it
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_rank_of_torchruns_that_is_stopped_or_killed_is_named_and_the_others_end(
    victim: int, number: signal.Signals, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    launcher = start_ranks(out)
    try:
        wait_for_checkpoint(out)
        pid = process_of(victim, launcher.pid)
        os.kill(pid, number)
        began = time.monotonic()
        said, _ = launcher.communicate(timeout=PATIENCE)
    finally:
        if launcher.poll() is None:
            os.killpg(launcher.pid, signal.SIGKILL)
    assert time.monotonic() - began < 200
    assert launcher.returncode != 0
    assert "run the same command again" in said, said
    if number == signal.SIGSTOP:
        assert f"rank {victim}" in said, said
    assert said.rindex("run the same command again") > said.rfind("Traceback"), "torch's traceback buries the sentence"
    assert damage(resolve(out, "last")) is None
