"""Kill runs of every command at random moments, and compare what they end with; prints a table.

python -m tests.attack.kills --kills 200 --out FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks.equivalence import draw_data

from tests.attack.runs import RUNS, outcome, start, words
from tests.support.forks import PATIENCE, Command
from tests.training.outcome import saved_step

KILLS_OF_A_RUN = 10
SHORTEST, LONGEST = 0.02, 0.6
"""When a run is killed, as a share of what an undisturbed one takes."""


@dataclass
class Tally:
    """What came of the kills of one command."""

    kills: int = 0
    in_a_save: int = 0
    resumes: int = 0
    runs: int = 0
    equal: int = 0

    def __str__(self) -> str:
        return (
            f"{self.kills} kills ({self.in_a_save} while a checkpoint was written, {self.resumes} after one) "
            f"in {self.runs} runs, {self.equal} of them end equal"
        )


def used(command: Command, most: float = float("inf")) -> float:
    """Wait until a command has ended, or has used so many seconds of a CPU; return what it used."""
    seconds, deadline = 0.0, time.monotonic() + PATIENCE
    while command.poll() is None and seconds < most:
        assert time.monotonic() < deadline, "the run hangs"
        time.sleep(0.005)
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds = max(seconds, sum(psutil.Process(command.pid).cpu_times()[:2]))
    return seconds


def run_to_the_end(given: list[str]) -> float:
    """Return the seconds of a CPU that a run took; it has to end well and without a traceback."""
    command = start(given)
    seconds = used(command)
    said, _ = command.communicate()
    assert command.returncode == 0, said
    assert "Traceback" not in said, said
    return seconds


def kill_within(given: list[str], seconds: float) -> bool:
    """Start a run and kill it when it has used so many seconds of a CPU; return whether it was still running."""
    command = start(given)
    used(command, seconds)
    alive = command.poll() is None
    if alive:
        os.kill(command.pid, signal.SIGKILL)
    said, _ = command.communicate()
    assert "Traceback" not in said, said
    assert alive or command.returncode == 0, said
    return alive


def undisturbed(name: str, out: Path, data: dict[str, Path]) -> tuple[Path, float]:
    """Return a run that nothing happened to, and the seconds it took."""
    run, seconds = out / name / "undisturbed", out / name / "seconds"
    if not seconds.is_file():
        run.parent.mkdir(parents=True, exist_ok=True)
        seconds.write_text(str(run_to_the_end(words(name, run, data))))
    return run, float(seconds.read_text())


def kill_until_done(name: str, out: Path, data: dict[str, Path], seed: int, tally: Tally) -> None:
    """Kill a run a few times, let it end, and compare it with an undisturbed one."""
    draw = random.Random(f"{name} {seed}")
    whole, seconds = undisturbed(name, out, data)
    run = out / name / f"killed {seed}"
    given = words(name, run, data)
    for _ in range(KILLS_OF_A_RUN):
        if not kill_within(given, draw.uniform(SHORTEST, LONGEST) * seconds):
            break
        tally.kills += 1
        tally.in_a_save += any((run / "checkpoints").glob("*.tmp"))
        tally.resumes += saved_step(run) > 0
    run_to_the_end(given)
    tally.runs += 1
    tally.equal += outcome(run) == outcome(whole)


def attack() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    data = draw_data(asked.out / "data")
    tallies = {name: Tally() for name in RUNS if asked.only in name}
    seed = 0
    while sum(tally.kills for tally in tallies.values()) < asked.kills:
        for name, tally in tallies.items():
            kill_until_done(name, asked.out, data, seed, tally)
            print(f"{name}: {tally}", flush=True)
        seed += 1
    return int(any(tally.equal != tally.runs for tally in tallies.values()))


if __name__ == "__main__":
    sys.exit(attack())
