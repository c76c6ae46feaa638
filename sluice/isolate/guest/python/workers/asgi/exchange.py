"""One request to an application, and its response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from workers.asgi.lifespan import lifespan
from workers.asgi.scope import App, Event, Scope, headers_of
from workers.request import Request
from workers.response import Response

_NO_BODY = (204, 205, 304)


class Exchange:
    """What an application receives and sends. It writes no faster than is read."""

    def __init__(self, request: Request) -> None:
        self._incoming = None if request.body is None else aiter(request.body)
        self._is_received = False
        self._is_head = request.method == "HEAD"
        self._head: Event | None = None
        self._response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue(1)
        self._over = asyncio.Event()
        self._failure: Exception | None = None

    async def response(self) -> Response:
        """Wait for the response to begin. Raises what the application raises before."""
        try:
            return await self._response
        except asyncio.CancelledError:
            self._leave()
            raise

    async def run(self, app: App, scope: Scope) -> None:
        """Run an application. Raises what it raises after its response."""
        try:
            async with lifespan(app) as state:
                await app({**scope, "state": dict(state)}, self._receive, self._send)
            if not self._response.done():
                raise RuntimeError("The application did not generate a response.")
            if not self._over.is_set():
                raise RuntimeError("The application did not end its response.")
        except Exception as error:
            if not self._response.done():
                self._response.set_exception(error)
            elif self._over.is_set():
                raise
            else:  # The body breaks off with it.
                self._failure = error
                await self._chunks.put(None)

    async def _receive(self) -> Event:
        if not self._is_received:
            chunk = None if self._incoming is None else await anext(self._incoming, None)
            self._is_received = chunk is None
            return {
                "type": "http.request",
                "body": bytes(chunk or b""),
                "more_body": not self._is_received,
            }
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self._head = event
        elif event["type"] == "http.response.body":
            await self._send_body(bytes(event.get("body", b"")), event.get("more_body", False))
        else:
            raise RuntimeError(f"ASGI: unexpected event {event['type']!r}")

    async def _send_body(self, content: bytes, has_more: bool) -> None:
        if not self._response.done():
            self._begin(content, has_more)
        if self._over.is_set():
            return
        if content:
            await self._chunks.put(content)
        if not has_more:
            self._over.set()
            await self._chunks.put(None)

    def _begin(self, content: bytes, has_more: bool) -> None:
        if self._head is None:
            raise RuntimeError("ASGI: http.response.body before http.response.start")
        status: int = self._head["status"]
        body: bytes | AsyncIterator[bytes] | None = content
        if has_more:
            body = None if self._is_head else self._body()
        if status in _NO_BODY:
            body = None
        if body is None or not has_more:
            self._over.set()
        self._response.set_result(Response(body, status, headers=headers_of(self._head)))

    async def _body(self) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self._chunks.get()) is not None:
                yield chunk
            if self._failure is not None:
                raise self._failure
        finally:
            self._leave()

    def _leave(self) -> None:
        """Nobody reads the response any more."""
        self._over.set()
        while not self._chunks.empty():
            self._chunks.get_nowait()
