"""Windows of small untrained models, and a server that answers on a port of its own."""

import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.commands.untrained import untrained
from vitrail.live.open import live_model, side_by_side
from vitrail.live.session import Session
from vitrail.live.worker import Workers
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import open_any

Window = Callable[..., Session]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of untrained models of each kind."""
    root = tmp_path_factory.mktemp("live")
    names = {"vit": "vit_ti16", "swin": "swin_t", "bit": "bit_r50x1", "mae": "mae_vit_ti16"}
    found = {name: untrained(root / name, model=model) for name, model in names.items()}
    found["mean"] = untrained(root / "mean", model="vit_ti16", pool="mean")
    return found | {"hybrid": untrained(root / "hybrid", model="r26_vit_b32", stem_depths=(1, 1))}


@pytest.fixture(scope="session")
def window(models: dict[str, Path]) -> Window:
    """Open a window of some of the models, by their names, without images; in fp32 unless as predict computes."""

    def opened(*names: str, precision: str = "fp32") -> Session:
        runtime = Runtime.named("cpu", precision)
        return Session(side_by_side([live_model(name, open_any(models[name]), runtime) for name in names]))

    return opened


def noise_file(width: int = 64, height: int = 48, seed: int = 7, kind: str = "PNG") -> bytes:
    """The bytes of an image file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"compress_level": 0} if kind == "PNG" else {}))
    return file.getvalue()


class Client:
    """Asks a server as the page does."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request and return its status and what JSON it answers, or the bytes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        connection.request(method, path, sent, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status, json.loads(content) if is_json else content

    def open(self, content: bytes) -> str:
        """Send an image's file and return its key."""
        status, said = self.ask("POST", "/api/images", content, x_name="noise.png")
        assert status == 200, said
        return said["image"]


@pytest.fixture
def serve() -> Iterator[Callable[[Session], Client]]:
    """Serve a window on a free port until the test ends."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    from vitrail.live.serve import listen
    from vitrail.live.server import build_app

    running = []

    def started(session: Session) -> Client:
        socket, workers = listen("127.0.0.1", None), Workers()
        server = uvicorn.Server(
            uvicorn.Config(build_app(session, workers), log_level="error", lifespan="off", ws="none")
        )
        thread = threading.Thread(target=server.run, args=([socket],), daemon=True)
        thread.start()
        running.append((server, thread, socket, workers))
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < until
            time.sleep(0.01)
        return Client(socket.getsockname()[1])

    yield started
    for server, thread, socket, workers in running:
        server.should_exit = True
        thread.join(30)
        workers.close()
        socket.close()
