"""Kill runs of every command at random moments, and compare what they end with; prints a table.

python -m tests.attack.kills --kills 200 --out FOLDER
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from pathlib import Path

from benchmarks.equivalence import draw_data

from tests.attack.runs import RUNS, finish, outcome, start, words


def kill_until_done(name: str, out: Path, data: dict[str, Path], kills: int, seed: int) -> tuple[int, bool]:
    """Kill a run so many times, let it end, and compare it with an undisturbed one; return kills and whether equal."""
    draw = random.Random(seed)
    whole = out / name / "undisturbed"
    if not (whole / "summary.json").is_file():
        began = time.monotonic()
        code, said = finish(words(name, whole, data))
        assert code == 0, said
        (out / name / "seconds").write_text(str(time.monotonic() - began))
    seconds = float((out / name / "seconds").read_text())
    done = 0
    run = out / name / f"killed {seed}"
    while done < kills and not (run / "summary.json").is_file():
        process = start(words(name, run, data))
        # Past the start-up, in which nothing happens yet, most of the time.
        time.sleep(draw.uniform(0.45, 1.0) * seconds)
        alive = process.poll() is None
        if alive:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        done += alive
    code, said = finish(words(name, run, data))
    assert code == 0, said
    assert "Traceback" not in said
    return done, outcome(run) == outcome(whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    data = draw_data(asked.out / "data")
    names = [name for name in RUNS if asked.only in name]
    tries, equal, rounds, seed = dict.fromkeys(names, 0), dict.fromkeys(names, 0), dict.fromkeys(names, 0), 0
    while sum(tries.values()) < asked.kills:
        for name in names:
            kills, same = kill_until_done(name, asked.out, data, 4, seed)
            tries[name] += kills
            rounds[name] += 1
            equal[name] += same
            print(f"{name}: {tries[name]} kills in {rounds[name]} runs, {equal[name]} of them end equal", flush=True)
        seed += 1
    return int(equal != rounds)


if __name__ == "__main__":
    sys.exit(main())
