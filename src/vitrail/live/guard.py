"""Who may ask the server, and what no answer goes without.

A page of another site can send requests to this machine, and by a name that it lets point here (DNS rebinding) even
read the answers. So a request must name this server by an address, "localhost" or the name it was started with, and
what changes anything must come from the window's own page.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = {
    # Nothing is fetched from anywhere else, nothing is sent anywhere else, and no page can show this one inside it.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses strangers' requests before anything of them is read, and adds `HEADERS` to every answer.

    Args:
        app: what answers.
        names: host names, besides addresses and "localhost", by which this server is called.
    """

    def __init__(self, app: App, names: tuple[str, ...] = ()) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self.refusal(scope["method"], headers)
        if refusal:
            await _refuse(refusal, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_encoded(HEADERS)]
            await send(message)

        await self._app(scope, receive, with_headers)

    def refusal(self, method: str, headers: dict[str, str]) -> str:
        """Return why a request is refused, a sentence; "" where it is not."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return f"this server is not called {host[:80]!r}; open it by the address that vitrail printed"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "requests from other sites are refused"
        if method not in ("GET", "HEAD") and headers.get("origin", f"http://{host}") != f"http://{host}":
            return "requests from other sites are refused"
        return ""

    def _is_own(self, host: str) -> bool:
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def own_names(host: str) -> tuple[str, ...]:
    """Return the names by which a server is called that listens at an address: its own; of every one, the machine's."""
    return (host, socket.gethostname(), socket.getfqdn()) if is_open(host) else (host,)


def is_open(host: str) -> bool:
    """Whether other machines can reach what listens at an address."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


async def _refuse(reason: str, send: Send) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = HEADERS | {"content-type": "application/json", "content-length": str(len(body))}
    await send({"type": "http.response.start", "status": 403, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})


__all__ = ["Guard", "is_open", "own_names"]
