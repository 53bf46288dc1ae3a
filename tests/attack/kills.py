"""Kill runs of every command at random moments, and compare what they end with; prints a table.

python -m tests.attack.kills --kills 200 --out FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing as mp
import os
import random
import sys
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
from benchmarks.equivalence import draw_data

from tests.attack.runs import RUNS, outcome, words
from tests.support.forks import PATIENCE
from tests.training.outcome import saved_step
from vitrail.cli import VERBS, main

KILLS_OF_A_RUN = 10
SHORTEST, LONGEST = 0.02, 0.6
"""When a run is killed, as a share of what an undisturbed one takes."""
CONTEXT = mp.get_context("forkserver")
PRELOADED = [*(f"vitrail.{VERBS[verb].module}" for verb in ("train", "pretrain")), "sklearn.datasets", "torch._dynamo"]
"""What half of a short run's time would go into; each run is forked from a process that has imported it."""


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


def be_vitrail(given: list[str], said: Path) -> None:
    """Run ``vitrail`` with these words in this process, and write all that it says into a file."""
    with said.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    raise SystemExit(main(given))


def begin(given: list[str], said: Path) -> BaseProcess:
    process = CONTEXT.Process(target=be_vitrail, args=(given, said))
    process.start()
    return process


def used(process: BaseProcess, most: float = float("inf")) -> float:
    """Wait until a process has ended, or has used so many seconds of a CPU; return what it used."""
    seconds, deadline = 0.0, time.monotonic() + PATIENCE
    while process.exitcode is None and seconds < most:
        assert time.monotonic() < deadline, "the run hangs"
        process.join(0.005)
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds = max(seconds, sum(psutil.Process(process.pid).cpu_times()[:2]))
    return seconds


def run_to_the_end(given: list[str], said: Path) -> float:
    """Return the seconds of a CPU that a run took; it has to end well and without a traceback."""
    process = begin(given, said)
    seconds = used(process)
    text = said.read_text(errors="replace")
    assert process.exitcode == 0, text
    assert "Traceback" not in text, text
    return seconds


def kill_within(given: list[str], said: Path, seconds: float) -> bool:
    """Start a run and kill it when it has used so many seconds of a CPU; return whether it was still running."""
    process = begin(given, said)
    used(process, seconds)
    alive = process.exitcode is None
    process.kill()
    process.join()
    assert alive or process.exitcode == 0, said.read_text(errors="replace")
    return alive


def undisturbed(name: str, out: Path, data: dict[str, Path]) -> tuple[Path, float]:
    """Return a run that nothing happened to, and the seconds it took."""
    run, seconds = out / name / "undisturbed", out / name / "seconds"
    if not seconds.is_file():
        run.parent.mkdir(parents=True, exist_ok=True)
        seconds.write_text(str(run_to_the_end(words(name, run, data), out / name / "said")))
    return run, float(seconds.read_text())


def kill_until_done(name: str, out: Path, data: dict[str, Path], seed: int, tally: Tally) -> None:
    """Kill a run a few times, let it end, and compare it with an undisturbed one."""
    draw = random.Random(f"{name} {seed}")
    whole, seconds = undisturbed(name, out, data)
    run = out / name / f"killed {seed}"
    given, said = words(name, run, data), out / name / "said"
    for _ in range(KILLS_OF_A_RUN):
        if not kill_within(given, said, draw.uniform(SHORTEST, LONGEST) * seconds):
            break
        tally.kills += 1
        tally.in_a_save += any((run / "checkpoints").glob("*.tmp"))
        tally.resumes += saved_step(run) > 0
    run_to_the_end(given, said)
    tally.runs += 1
    tally.equal += outcome(run) == outcome(whole)


def attack() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    CONTEXT.set_forkserver_preload(PRELOADED)
    data = draw_data(asked.out / "data")
    run_to_the_end(["--help"], asked.out / "said")  # the preloading is not to count as time of a run
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
