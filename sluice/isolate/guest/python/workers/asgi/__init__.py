"""Web applications on ASGI: `return await asgi.fetch(app, request, self.env)`.

https://asgi.readthedocs.io/en/latest/specs/www.html, and
https://developers.cloudflare.com/workers/languages/python/packages/fastapi/
"""

from __future__ import annotations

from typing import Any

from sluice_guest import invocation
from workers.asgi.exchange import Exchange
from workers.asgi.scope import App, scope_of
from workers.asgi.session import Session
from workers.request import Request
from workers.response import Response


async def fetch(app: App, request: Request, env: Any = None, ctx: object = None) -> Response:
    """Answer a request, or a WebSocket's, with an application. Raises what it raises before.

    `env` is in its scope. It goes on after the response, as `wait_until` work does.
    """
    if request.asks_websocket:
        return await websocket(app, request, env)
    exchange = Exchange(request)
    work = exchange.run(app, scope_of(request, env, "http"))
    invocation.required().background.add(work)
    return await exchange.response()


async def websocket(app: App, request: Request, env: Any = None) -> Response:
    """Open a WebSocket with an application: 403 where it closes in place of accepting."""
    session = Session()
    work = session.run(app, scope_of(request, env, "websocket"))
    invocation.required().background.add(work)
    return await session.opened


__all__ = ["fetch", "websocket"]
