"""The addresses that the page asks, and what each answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from vitrail.errors import ImageError, VitrailError
from vitrail.live.drawings import png
from vitrail.live.guard import Guard
from vitrail.live.images import NotHeld
from vitrail.live.requests import AnswerRequest, Asked, MaskRequest, RemovalRequest, plain_name, read_request
from vitrail.live.session import Session
from vitrail.live.worker import Busy, Stale, Worker, Workers

MOST_BYTES = 100_000_000
"""Of an image's file."""

MOST_ASKED = 1_000_000
"""Bytes of any other request."""

FILES_AT_ONCE = 2
"""Files that are received at the same time, so that many large ones do not stand in memory side by side."""

PAGE = {
    "": ("index.html", "text/html; charset=utf-8"),
    "style.css": ("style.css", "text/css; charset=utf-8"),
    **{
        f"{name}.js": (f"{name}.js", "text/javascript; charset=utf-8")
        for name in ("main", "card", "canvas", "mask", "views", "scales", "server", "text")
    },
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
"""The files of the page, by address."""


class TooLarge(VitrailError):
    """A request has more bytes than are taken."""


def build_app(session: Session, workers: Workers, names: tuple[str, ...] = ()) -> Guard:
    """Return the server of a session.

    Args:
        session: what it answers about.
        workers: the threads that do the work; who made them closes them.
        names: host names by which it may be called, besides addresses and "localhost".
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)  # its pages would load scripts from elsewhere
    app.add_exception_handler(Exception, _failed)
    app.add_exception_handler(VitrailError, _refused)
    app.add_exception_handler(Stale, _stale)
    _add_page(app)
    _add_images(app, session, workers.opening)
    _add_answers(app, session, workers.computing)
    return Guard(app, names)


def _add_page(app: FastAPI) -> None:
    folder = files("vitrail.live") / "page"

    @app.get("/{name}")
    async def page(name: str) -> Response:
        if name not in PAGE:
            return _said(404, f"there is no {name[:80]!r} here")
        file, kind = PAGE[name]
        return Response((folder / file).read_bytes(), media_type=kind)

    @app.get("/")
    async def index() -> Response:
        return await page("")


def _add_images(app: FastAPI, session: Session, worker: Worker) -> None:
    receiving = asyncio.Semaphore(FILES_AT_ONCE)

    @app.get("/api/session")
    async def facts() -> JSONResponse:
        return JSONResponse(session.facts() | {"most_bytes": MOST_BYTES})

    @app.post("/api/images")
    async def add(request: Request) -> JSONResponse:
        name = plain_name(unquote(request.headers.get("x-name", "")))
        async with receiving:
            content = await _body(request, MOST_BYTES)
            held = await worker.run(lambda: session.images.add(content, name))
        return JSONResponse(session.opened(held))

    @app.post("/api/samples/{number}")
    async def sample(number: int) -> JSONResponse:
        return JSONResponse(session.opened(await worker.run(lambda: session.images.sample(number))))

    @app.get("/api/samples/{number}/small.png")
    async def thumbnail(number: int) -> Response:
        drawn = await worker.run(lambda: png(session.images.thumbnail(number)))
        return Response(drawn, media_type="image/png")

    @app.get("/api/images/{key}/{number}.png")
    async def model_input(key: str, number: int) -> Response:
        return Response(await worker.run(lambda: session.input_png(key, number)), media_type="image/png")


def _add_answers(app: FastAPI, session: Session, worker: Worker) -> None:
    @app.post("/api/answer")
    async def answer(request: Request) -> JSONResponse:
        asked = read_request(AnswerRequest, await _body(request, MOST_ASKED))
        return await _computed(worker, asked, lambda: session.answer(asked))

    @app.post("/api/removal")
    async def removal(request: Request) -> JSONResponse:
        asked = read_request(RemovalRequest, await _body(request, MOST_ASKED))
        return await _computed(worker, asked, lambda: session.removal(asked))

    @app.post("/api/mask")
    async def mask(request: Request) -> JSONResponse:
        asked = read_request(MaskRequest, await _body(request, MOST_ASKED))
        return JSONResponse(await worker.run(lambda: session.mask(asked)))


async def _computed(worker: Worker, asked: Asked, compute: Callable[[], dict[str, Any]]) -> JSONResponse:
    client = asked.client and f"{asked.client} {type(asked).__name__} {asked.model}"
    return JSONResponse(await worker.run(compute, client, asked.number))


async def _body(request: Request, most: int) -> bytes:
    """Read what a request holds.

    Raises:
        TooLarge: it has more bytes than are taken.
    """
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > most:
        raise TooLarge(_too_large(most))
    read = bytearray()
    async for part in request.stream():
        read += part
        if len(read) > most:
            raise TooLarge(_too_large(most))
    return bytes(read)


def _too_large(most: int) -> str:
    return f"more than {most / 1_000_000:g} MB are not taken; send a smaller file"


def _status(error: Exception) -> int:
    kinds = {NotHeld: 410, TooLarge: 413, ImageError: 415, Busy: 503}
    return next((status for kind, status in kinds.items() if isinstance(error, kind)), 400)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    return _said(_status(error), str(error))


async def _stale(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"stale": True})


async def _failed(request: Request, error: Exception) -> JSONResponse:
    return _said(500, f"this could not be computed ({type(error).__name__}); the terminal says more")


def _said(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status)


__all__ = ["build_app"]
