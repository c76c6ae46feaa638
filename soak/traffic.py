"""The kinds of requests, each of which knows what must come back."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from sluice.cli.remote_registry import RemoteRegistry
from soak import workers
from soak.ledger import UnexpectedError
from soak.origin import BLOCK

PATIENCE = 60.0
"""Seconds that one request may take."""

_MOST_BLOCKS = 64
_CPU = "Error: Worker exceeded CPU time limit."
_MEMORY = "Error: Worker exceeded memory limit."
_SUBREQUESTS = "Error: Too many subrequests by single Worker invocation."


@dataclass
class Clients:
    """Everybody who asks. `random` is seeded."""

    session: aiohttp.ClientSession
    registry: RemoteRegistry
    port: int
    origin: str
    random: random.Random
    version: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _deploying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _breaking: dict[str, asyncio.Lock] = field(
        default_factory=lambda: {name: asyncio.Lock() for name in workers.BREAKING}
    )
    """One breach at a time: what else its process serves is cut short with it."""

    def kinds(self) -> dict[str, tuple[int, Callable[[], Awaitable[None]]]]:
        """By name: how often, and how. Each raises `UnexpectedError` for a wrong answer."""
        return {
            "plain": (40, self._plain),
            "upload": (8, self._upload),
            "download": (8, self._download),
            "websocket": (8, self._websocket),
            "rpc": (8, self._rpc),
            "redirect": (6, self._redirect),
            "cancelled": (8, self._cancelled),
            "waitUntil": (3, lambda: self._text("/later")),
            "log flood": (2, lambda: self._text("/log")),
            "throws": (4, lambda: self._refused("/throw", "TypeError: thrown on purpose")),
            "subrequests": (3, self._subrequests),
            "deploy": (2, self._deploy),
            "CPU limit": (1, self._loop),
            "memory limit": (1, self._eat),
        }

    def _url(self, path: str, customer: str = "", **query: Any) -> tuple[str, str, str]:
        """URL, host and nonce of one request."""
        customer = customer or self.random.choice(workers.CUSTOMERS)
        nonce = f"{customer}.{next(self._numbers)}"
        more = "".join(f"&{key}={value}" for key, value in query.items())
        return f"http://127.0.0.1:{self.port}{path}?nonce={nonce}{more}", f"{customer}.test", nonce

    async def _text(self, path: str) -> None:
        url, host, nonce = self._url(path)
        await self._expect(nonce, "GET", url, host)

    async def _plain(self) -> None:
        await self._text("/plain")

    async def _redirect(self) -> None:
        await self._text("/redirect")

    async def _upload(self) -> None:
        url, host, _ = self._url("/upload")
        blocks = self.random.randrange(_MOST_BLOCKS)
        digest = hashlib.sha256(BLOCK * blocks).hexdigest()

        async def body() -> AsyncIterator[bytes]:
            for _ in range(blocks):
                yield BLOCK

        await self._expect(digest, "POST", url, host, data=body())

    async def _download(self) -> None:
        blocks = self.random.randrange(_MOST_BLOCKS)
        url, host, _ = self._url("/download", blocks=blocks)
        size = 0
        async with self.session.get(url, headers={"host": host}) as response:
            if response.status != 200:
                raise UnexpectedError(await response.text())
            async for chunk in response.content.iter_any():
                size += len(chunk)
        if size != len(BLOCK) * blocks:
            raise UnexpectedError(f"{size} bytes, where {blocks} blocks were sent")

    async def _websocket(self) -> None:
        url, host, _ = self._url("/socket")
        async with self.session.ws_connect(url, headers={"host": host}) as socket:
            for number in range(self.random.randrange(1, 20)):
                await socket.send_str(f"{number}" * 100)
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise aiohttp.ClientPayloadError(f"the WebSocket ended: {message.type.name}")
                if message.data != f"{number}" * 100:
                    raise UnexpectedError(f"another message came back: {message.data[:99]}")

    async def _rpc(self) -> None:
        number = self.random.randrange(1000)
        url, host, _ = self._url("/rpc", n=number)
        await self._expect(json.dumps({"sum": 1 + number}, separators=(",", ":")), "GET", url, host)

    async def _cancelled(self) -> None:
        url, host, _ = self._url(self.random.choice(["/slow", "/download"]), blocks=500)
        try:
            async with asyncio.timeout(self.random.random()):
                await self._expect("", "GET", url, host)
        except (TimeoutError, UnexpectedError):
            return

    async def _subrequests(self) -> None:
        limits = json.dumps({"subRequests": self.random.randrange(1, 20)})
        await self._refused("/flood", _SUBREQUESTS, limits=limits)

    async def _loop(self) -> None:
        limits = json.dumps({"cpuMs": 50})
        async with self._breaking["looping"]:
            await self._refused("/loop", _CPU, customer="looping", limits=limits)

    async def _eat(self) -> None:
        async with self._breaking["eating"]:
            await self._refused("/eat", _MEMORY, customer="eating")

    async def _deploy(self) -> None:
        """A deploy holds from the next request on."""
        async with self._deploying:
            self.version += 1
            await workers.deploy(self.registry, self.origin, workers.DEPLOYED, self.version)
            url, host, _ = self._url("/version", workers.DEPLOYED)
            await self._expect(str(self.version), "GET", url, host)

    async def _refused(self, path: str, message: str, customer: str = "", **query: Any) -> None:
        url, host, _ = self._url(path, customer, **query)
        await self._expect(message, "GET", url, host, status=500)

    async def _expect(
        self, text: str, method: str, url: str, host: str, *, status: int = 200, data: Any = None
    ) -> None:
        headers = {"host": host}
        async with self.session.request(method, url, headers=headers, data=data) as response:
            got = await response.text(errors="replace")  # a download is not text
        if (response.status, got) != (status, text):
            raise UnexpectedError(got if response.status != 200 else f"200 {got}")
