"""The guest of a Python isolate as an ordinary process, between the host's own client and server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from sluice.http1.client import Client
from sluice.http1.server import Exchange, Server
from sluice.isolate import control
from sluice.isolate.broker import Broker
from sluice.wire.body import Whole
from sluice.wire.errors import SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.isolate.python.nursery import Child, Nursery

PACKAGES = Path(aiohttp.__file__).parent.parent
REQUESTS = ("requests", "urllib3", "certifi", "charset_normalizer")
HTTPX = ("httpx", "httpcore", "h11", "anyio")

Files = Mapping[str, str | bytes]
OnSubrequest = Callable[[Exchange, bytes], Awaitable[Response]]


@dataclass
class Reply:
    """What the guest answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    error: dict[str, Any] | None
    """What it raised, if that."""

    @property
    def text(self) -> str:
        return self.body.decode()

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name)


@dataclass
class Subrequest:
    """What came out of the guest."""

    token: str
    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    chosen: dict[str, Any] | None
    """What `get()` of a dispatch namespace chose."""


@dataclass
class Guest:
    """A running guest."""

    process: Child
    client: Client
    answer: OnSubrequest | None = None
    subrequests: list[Subrequest] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(
        self,
        url: str = "http://acme.example.com/",
        *,
        method: str = "GET",
        headers: list[tuple[str, str]] | None = None,
        body: bytes | Any = b"",
        **control_headers: Any,
    ) -> Reply:
        """Send a request to the Worker. Keywords are control headers: `token`, `env`, `call`."""
        response, said = await self.open(
            url, method=method, headers=headers, body=body, **control_headers
        )
        content = await read_all(response.body, 64 * 1024 * 1024)
        assert content is not None
        error = json.loads(said[control.ERROR]) if control.ERROR in said else None
        fields = [(name, value.decode("latin-1")) for name, value in response.headers]
        return Reply(response.status, fields, content, error)

    async def open(
        self,
        url: str = "http://acme.example.com/",
        *,
        method: str = "GET",
        headers: list[tuple[str, str]] | None = None,
        body: bytes | Any = b"",
        token: str = "t-0",
        websocket: bool = False,
        **said: Any,
    ) -> tuple[Response, Mapping[str, str]]:
        """Send a request, and return the head of its response."""
        fields = [(name, value.encode()) for name, value in headers or []]
        content = Whole(body) if isinstance(body, bytes) else body
        length = len(body) if isinstance(body, bytes) and body else None
        request = Request(method, url, fields, content, length, websocket)
        encoded = {f"x-sluice-{key}": control.encode(value) for key, value in said.items()}
        return await self.client.send(request, {control.TOKEN: token, **encoded})

    async def receive(self, exchange: Exchange) -> Response:
        """Answer a subrequest, as `answer` says."""
        content = await read_all(exchange.request.body, 64 * 1024 * 1024) or b""
        request = exchange.request
        fields = [(name, value.decode("latin-1")) for name, value in request.headers]
        chosen = exchange.control.get(control.GET)
        token = exchange.control.get(control.TOKEN, "")
        self.subrequests.append(
            Subrequest(
                token, request.method, request.url, fields, content, json.loads(chosen or "null")
            )
        )
        self._changed.set()
        if self.answer is not None:
            return await self.answer(exchange, content)
        return Response(200, [("content-type", b"text/plain")], Whole(f"for {token}".encode()))

    async def printed(self) -> str:
        """All that the guest has written to standard error. It ends the guest."""
        self.process.kill()
        return (await self.process.stderr.read()).decode()

    async def until(self, count: int) -> list[Subrequest]:
        """The subrequests, once there are `count`."""
        async with asyncio.timeout(10):
            while len(self.subrequests) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.subrequests


def thrown(error: SluiceError) -> Response:
    """The answer that makes a `fetch()` raise."""
    return control.thrown(error)


def write_bundle(
    folder: Path, files: Files, packages: tuple[str, ...], settings: Mapping[str, Any]
) -> None:
    """Lay out a Worker's folder as the host does."""
    for name, content in files.items():
        path = folder / "modules" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    vendored = folder / "modules/python_modules"
    vendored.mkdir(parents=True, exist_ok=True)
    for package in packages:
        (vendored / package).symlink_to(PACKAGES / package)
    said = {
        "role": "user",
        "main": "main.py",
        "bindings": {},
        "dispatch_namespaces": [],
        "compatibility_flags": [],
        "compatibility_date": "2026-01-01",
        "modules": [],
        **settings,
    }
    (folder / "worker.json").write_text(json.dumps(said))


@asynccontextmanager
async def running(
    nursery: Nursery, folder: Path, files: Files, *, packages: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[Guest]:
    """A guest that serves the bundle `files`. `settings` are keys of `worker.json`."""
    write_bundle(folder, files, packages, settings)
    guest: Guest
    egress = Server(lambda exchange: guest.receive(exchange), on_error=thrown)
    await egress.listen_unix(str(folder / "egress.sock"))
    broker = Broker(str(folder / "egress.sock"))
    with broker.far, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "in.sock"))
        listener.listen(64)
        inherited = [listener.fileno(), broker.far.fileno()]
        process = await nursery.fork(folder, inherited)
    guest = Guest(process, Client(str(folder / "in.sock")))
    try:
        yield guest
    finally:
        await guest.client.aclose()
        if process.returncode is None:
            process.kill()
        await process.communicate()
        await broker.aclose()
        await egress.close(grace=0)
