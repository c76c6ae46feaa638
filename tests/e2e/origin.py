"""An origin on loopback that keeps what it receives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Origin:
    """What it received: method, path with query, headers, body."""

    received: list[web.Request] = field(default_factory=list)
    answer: Answer | None = None
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> Callable[[], Awaitable[None]]:
        """Listen. Returns what stops it."""
        runner = web.ServerRunner(
            web.Server(self._serve, handler_cancellation=True), shutdown_timeout=1
        )
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner.cleanup

    async def until(self, count: int) -> None:
        """Wait until that many requests were received."""
        async with asyncio.timeout(10):
            while len(self.received) < count:
                self._arrived = asyncio.Event()
                await self._arrived.wait()

    def hang(self) -> asyncio.Event:
        """Answer no more. The event says that a connection was closed."""
        closed = asyncio.Event()

        async def wait(_: web.Request) -> web.StreamResponse:
            try:
                await asyncio.Event().wait()
            finally:
                closed.set()
            return web.Response()

        self.answer = wait
        return closed

    _arrived: asyncio.Event | None = None

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.received.append(request)  # type: ignore[arg-type]
        if self._arrived:
            self._arrived.set()
        if self.answer:
            return await self.answer(request)  # type: ignore[arg-type]
        return web.Response(text="origin")
