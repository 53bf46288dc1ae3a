"""A model hub on this machine: enough of the Hugging Face hub's HTTP interface for huggingface_hub to fetch from it.

It says what the hub says of a repository (its commit, its files with their sizes and digests, its licence), sends files
whole or from a byte on, and can be told to fail as a network or a hub does.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = (".safetensors", ".bin", ".pth", ".npz")
"""Files that git LFS keeps, whose digest is a SHA-256."""


@dataclass
class Repository:
    """A repository, and what it does wrong.

    Attributes:
        files: content by name.
        licence: as its card names it; "" for none.
        private: it is open only to those who send ``token``.
        gated: its files are open only to those who send ``token``.
        branches: names of branches and tags.
        break_after: bytes after which the connection breaks, for so many requests as there are numbers.
        damaged: names of files whose last byte is sent wrongly.
    """

    files: dict[str, bytes]
    licence: str = "apache-2.0"
    private: bool = False
    gated: bool = False
    branches: tuple[str, ...] = ("main",)
    break_after: list[int] = field(default_factory=list)
    damaged: set[str] = field(default_factory=set)

    @property
    def commit(self) -> str:
        """40 hexadecimal digits that are others for other content."""
        names = sorted(self.files)
        return hashlib.sha1(b"".join(name.encode() + self.files[name] for name in names)).hexdigest()

    @classmethod
    def of_folder(cls, folder: Path, **options: Any) -> Repository:
        """Return a repository that holds the files of a folder."""
        return cls({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}, **options)


@dataclass
class Hub:
    """Repositories by ``OWNER/NAME``, and what was asked for.

    Attributes:
        address: where it listens.
        repositories: what it serves.
        asked: method, path and range of each request, in order.
        token: who sends it may see what is private and gated.
        down: it answers nothing but status 503.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    token: str = "hf_mine"
    down: bool = False

    def downloads(self) -> list[str]:
        """Return the names of the files that were sent, in order."""
        return [path.rpartition("/")[2] for method, path, _ in self.asked if method == "GET" and "/resolve/" in path]


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub until the end of the ``with`` block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Answers,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def digest(name: str, content: bytes) -> str:
    """Return what the hub calls the content of a file: its SHA-256, or git's digest of a small one."""
    if name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((self.command, path, self.headers.get("Range", "")))
        if self.hub.down:
            return self._refuse(503, "")
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/(.+)|/refs)?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        asked = api or file
        repository = self.hub.repositories.get(asked[1]) if asked else None
        if asked is None or repository is None or (repository.private and not self._is_known()):
            return self._refuse(404 if self._is_known() else 401, "RepoNotFound")
        revision = asked[2] if file else asked[3]
        if revision not in (None, repository.commit, *repository.branches):
            return self._refuse(404, "RevisionNotFound")
        if file:
            return self._send_file(repository, asked[3])
        return self._send_json(self._refs(repository) if path.endswith("/refs") else self._info(asked[1], repository))

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _info(self, name: str, repository: Repository) -> dict[str, Any]:
        siblings = []
        for file, content in repository.files.items():
            own = digest(file, content)
            large = {"lfs": {"sha256": own, "size": len(content), "pointerSize": 130}} if file.endswith(LARGE) else {}
            siblings.append({"rfilename": file, "size": len(content), "blobId": own[:40], **large})
        card = {"license": repository.licence} if repository.licence else {}
        return {
            **{"id": name, "modelId": name, "sha": repository.commit, "private": repository.private, "tags": []},
            **{"gated": "manual" if repository.gated else False, "cardData": card, "siblings": siblings},
        }

    def _refs(self, repository: Repository) -> dict[str, Any]:
        branches = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": repository.commit}
            for name in repository.branches
        ]
        return {"branches": branches, "tags": [], "converts": []}

    def _send_json(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_file(self, repository: Repository, name: str) -> None:
        if repository.gated and not self._is_known():
            return self._refuse(401, "GatedRepo")
        if name not in repository.files:
            return self._refuse(404, "EntryNotFound")
        content = repository.files[name]
        etag = f'"{digest(name, content)}"'
        if name in repository.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        begin = int(found[1]) if (found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        self.send_response(206 if begin else 200)
        self.send_header("X-Repo-Commit", repository.commit)
        self.send_header("ETag", etag)
        self.send_header("X-Linked-Etag", etag)
        self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name.endswith(LARGE) and repository.break_after:
            self.wfile.write(content[begin : begin + repository.break_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(content[begin:])

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()
