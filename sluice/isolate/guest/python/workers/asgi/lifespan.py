"""An application's start and end, which here surround each request, as at Cloudflare.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sluice_guest import trace
from workers.asgi.scope import VERSIONS, App, Event


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
    """Start an application, and end it. Gives its state. Raises what its start failed of."""
    life = _Life()
    running = asyncio.ensure_future(life.run(app))
    await life.started
    try:
        yield life.state
    finally:
        life.events.put_nowait({"type": "lifespan.shutdown"})
        await running


class _Life:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.events.put_nowait({"type": "lifespan.startup"})

    async def run(self, app: App) -> None:
        scope = {"type": "lifespan", "asgi": VERSIONS, "state": self.state}
        try:
            await app(scope, self.events.get, self._send)
        except Exception as error:
            # Before the start it means that there is no lifespan.
            if self.started.done():
                trace.show(error)
        finally:
            if not self.started.done():
                self.started.set_result(None)

    async def _send(self, event: Event) -> None:
        if self.started.done():
            return
        if event["type"] == "lifespan.startup.failed":
            words = event.get("message") or "ASGI lifespan startup failed"
            self.started.set_exception(RuntimeError(words))
        elif event["type"] == "lifespan.startup.complete":
            self.started.set_result(None)
