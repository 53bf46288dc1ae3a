"""An address, a port that is free, and the server on it until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import webbrowser

from vitrail.errors import ConfigError, MissingExtra
from vitrail.live.guard import is_open, own_names
from vitrail.live.session import Session
from vitrail.live.worker import Workers
from vitrail.output import say, warn

FIRST_PORT, TRIES = 8711, 50
"""Where a window opens unless a port is asked for, and how many ports after that are tried."""

LONGEST = 100
"""Requests that wait for their connection to be taken."""


def check_installed() -> None:
    """Make sure that what serves the page is installed.

    Raises:
        MissingExtra: it is not.
    """
    try:
        import fastapi
        import uvicorn
    except ImportError:
        raise MissingExtra("fastapi and uvicorn", "serve", "the live window") from None
    del fastapi, uvicorn


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: the address.
        port: by default the first free one from `FIRST_PORT` on.

    Raises:
        ConfigError: the port is taken, or there is no such address on this machine.
    """
    try:
        family, *_, (address, *_) = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ConfigError(f"--host {host} is no address here ({error.strerror or error}); leave it out") from None
    problem: OSError | None = None
    for candidate in range(FIRST_PORT, FIRST_PORT + TRIES) if port is None else (port,):
        try:
            return _bound(family, str(address), candidate)
        except OSError as error:
            problem = error
            if port is None and error.errno not in _TAKEN:
                break
    where = f"{host} port {port or f'{FIRST_PORT} to {FIRST_PORT + TRIES - 1}'}"
    reason = problem.strerror if problem is not None else ""
    advice = "leave --port out for the next free one" if port else "choose another with --port"
    raise ConfigError(f"nothing can listen at {where} ({reason}); {advice}")


_TAKEN = {98, 48, 10048, 13}
"""Error numbers of an address in use on Linux, macOS and Windows, and of one that may not be used."""


def _bound(family: int, address: str, port: int) -> socket.socket:
    # The protocol is named, for else asyncio lets small answers wait for 40 ms (Nagle's algorithm).
    server = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let two servers have one port
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(LONGEST)
    except OSError:
        server.close()
        raise
    return server


def url_of(server: socket.socket, host: str) -> str:
    """Return the address to type into a browser."""
    port = server.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def serve(session: Session, server: socket.socket, host: str, browser: bool) -> None:
    """Answer requests until Ctrl-C.

    Args:
        session: what is answered about.
        server: listens.
        host: the address it was asked to listen at.
        browser: open the page in the default browser, where there is a screen.
    """
    import uvicorn

    from vitrail.live.server import build_app

    url, workers = url_of(server, host), Workers()
    config = uvicorn.Config(
        build_app(session, workers, own_names(host)),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    if is_open(host):
        warn(f"every machine that reaches {host} can use this window and see the images that are opened in it")
    say(f"the live window is at {url} (Ctrl-C ends it)")
    if browser and _has_screen():
        webbrowser.open(url)
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([server])
    workers.close()
    say("the live window is closed")


def _has_screen() -> bool:
    """Whether a browser would be seen: else one for terminals might take this one over."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


__all__ = ["check_installed", "listen", "serve", "url_of"]
