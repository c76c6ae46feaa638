"""What an application is told of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from workers.request import Request

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

VERSIONS = {"version": "3.0", "spec_version": "2.3"}
"""Of ASGI and of its HTTP part: from 2.4 on, sending to a client that left would raise."""

_PORTS = {"http": 80, "https": 443}
_OF_WEBSOCKETS = {"http": "ws", "https": "wss"}


def scope_of(request: Request, env: Any, kind: str) -> Scope:
    """The scope of a request: of `kind` `http` or `websocket`."""
    url = urlsplit(request.url)
    scope: Scope = {
        "type": kind,
        "asgi": VERSIONS,
        "http_version": "1.1",
        "scheme": url.scheme,
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "root_path": "",
        "headers": [
            (name.encode(), value.encode("latin-1", "replace"))
            for name, value in request.headers.raw()
        ],
        "client": None,
        "server": (url.hostname, url.port or _PORTS[url.scheme]),
        "env": env,
    }
    if kind == "http":
        return {**scope, "method": str(request.method)}
    offered = (request.headers.get("sec-websocket-protocol") or "").split(",")
    subprotocols = [name.strip() for name in offered if name.strip()]
    return {**scope, "scheme": _OF_WEBSOCKETS[url.scheme], "subprotocols": subprotocols}


def headers_of(event: Event) -> list[tuple[str, str]]:
    """The headers that an application sends."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in event.get("headers") or ()
    ]
