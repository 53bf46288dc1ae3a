"""How fast the live window answers: from a stroke on the page to the answer, by view.

A window of the published DeiT-Ti is served as ``vitrail look --live`` serves it, and asked over HTTP as the page asks:
every mask is a new one, a few patches larger than the last, so that nothing is known from before. Pointing at another
patch of the same mask, and memory over many requests, are measured besides.

    python benchmarks/live.py DATA [--requests 100]   # DATA has imagenet_like/, weights/
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import resource
import statistics
import threading
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line sets it

import psutil
import torch
import uvicorn

from vitrail.live.open import live_model, open_shown, predicting
from vitrail.live.serve import listen
from vitrail.live.server import build_app
from vitrail.live.session import Session
from vitrail.live.worker import Workers

VIEWS = ("image", "attention", "rollout", "similarity", "explanation")
PATCHES = 196


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--requests", type=int, default=100)
    arguments = parser.parse_args()
    opened = open_shown(str(arguments.data / "weights" / "deit_tiny_patch16_224.safetensors"))
    session = Session([live_model("DeiT-Ti", opened, predicting(opened, "cpu"))])
    photograph = sorted((arguments.data / "imagenet_like").rglob("*.jpg"))[0].read_bytes()
    workers = Workers()
    with listen("127.0.0.1", None) as socket:
        server = uvicorn.Server(
            uvicorn.Config(build_app(session, workers), log_level="error", lifespan="off", ws="none")
        )
        thread = threading.Thread(target=server.run, args=([socket],))
        thread.start()
        try:
            measure(Connection(socket.getsockname()[1]), photograph, arguments.requests)
        finally:
            server.should_exit = True
            thread.join()
            workers.close()


class Connection:
    """Asks as the page does, over one connection that is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def post(self, path: str, body: bytes) -> Any:
        self.connection.request("POST", path, body, {"X-Name": "photograph.jpg"})
        return json.loads(self.connection.getresponse().read())

    def answer(self, **asked: Any) -> tuple[float, float]:
        """Ask, and return the seconds until the answer was read, and those that all cores computed."""
        start, computed = time.perf_counter(), processor_time()
        said = self.post("/api/answer", json.dumps(asked).encode())
        assert not said["note"], said["note"]
        return time.perf_counter() - start, processor_time() - computed


def processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(connection: Connection, photograph: bytes, requests: int) -> None:
    key = connection.post("/api/images", photograph)["image"]
    print(f"{torch.get_num_threads()} threads, load average {os.getloadavg()[0]:.1f}, {requests} requests a view")
    strokes, rng = {view: [] for view in (*VIEWS, "pointing")}, random.Random(1)
    painted: list[int] = []
    for number in range(requests + 5):
        for view in VIEWS:  # in turns, so that what else the machine does falls on all alike
            painted = painted if len(painted) < PATCHES // 2 else []
            painted = sorted({*painted, *(rng.randrange(PATCHES) for _ in range(3))})
            patch = rng.choice([n for n in range(PATCHES) if n not in painted])
            took = connection.answer(image=key, hidden=painted, view=view, patch=patch)
            again = connection.answer(image=key, hidden=painted, view="similarity", patch=patch)
            if number >= 5:  # the first warm up
                strokes[view].append(took)
                strokes["pointing"] += [again] if view == "similarity" else []
    print(f"{'view':<14}{'median':>10}{'95 %':>10}{'of one core':>14}   ms")
    for view, pairs in strokes.items():
        whole = sorted(1000 * wall for wall, _ in pairs)
        of_core = 1000 * statistics.median(computed for _, computed in pairs)
        print(f"{view:<14}{statistics.median(whole):>10.0f}{whole[int(0.95 * len(whole))]:>10.0f}{of_core:>14.0f}")
    print_memory(connection, key, requests)


def print_memory(connection: Connection, key: str, requests: int) -> None:
    process, rng = psutil.Process(), random.Random(2)
    before = process.memory_info().rss
    for number in range(requests):
        painted = rng.sample(range(PATCHES), 40)
        connection.answer(image=key, hidden=painted, view=VIEWS[number % 3], patch=None)
    grown = process.memory_info().rss - before
    print(f"memory {process.memory_info().rss / 1e6:.0f} MB, {grown / 1e6:+.0f} MB over {requests} more masks")


if __name__ == "__main__":
    main()
