"""The origin: it holds each request against what its own params say."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress

from aiohttp import WSMsgType, web

SLOW = 2.0
"""Seconds that `/slow` takes."""

BLOCK = bytes(range(256)) * 256
"""What `/bytes` sends, again and again."""


class Origin:
    """An HTTP server on loopback."""

    def __init__(self) -> None:
        self.requests = 0
        self.mismatches: list[str] = []
        """Requests whose params were another request's."""
        self.port = 0

    async def start(self) -> web.ServerRunner:
        """Listen. Whoever started it cleans the runner up."""
        server = web.Server(self._serve, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        self._check(request)
        match request.path:
            case "/hash":
                digest = hashlib.sha256()
                async for chunk in request.content.iter_any():
                    digest.update(chunk)
                return web.Response(text=digest.hexdigest())
            case "/bytes":
                return await _bytes(request)
            case "/echo":
                return await _echo(request)
            case "/redirect":
                return web.Response(status=302, headers={"location": "/plain"})
            case "/slow":
                await asyncio.sleep(SLOW)
        return web.Response(text=request.headers.get("x-param", ""))

    def _check(self, request: web.BaseRequest) -> None:
        """The nonce is what the Worker read from its own request, the param what `get()` chose."""
        nonce, param = request.headers.get("x-nonce"), request.headers.get("x-param")
        customer = request.headers.get("x-customer", "none")
        if nonce != param or not (nonce or "").startswith(f"{customer}."):
            self.mismatches.append(f"{request.path}: {nonce} got the params {customer} {param}")


async def _bytes(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with suppress(ConnectionError):  # whoever asked may leave
        for _ in range(int(request.query["blocks"])):
            await response.write(BLOCK)
        await response.write_eof()
    return response


async def _echo(request: web.BaseRequest) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    with suppress(ConnectionError):  # whoever asked may leave
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
    return socket
