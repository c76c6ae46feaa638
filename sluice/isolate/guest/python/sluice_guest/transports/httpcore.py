"""httpcore, on which `httpx` stands: its connection pools send each request to the egress.

https://www.encode.io/httpcore/connection-pools/
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import aiohttp

from sluice_guest import egress
from sluice_guest.transports.http_client import Https

MODULE = "httpcore"

_PIECE = 64 * 1024
_NOT_SENT = frozenset({"host", "transfer-encoding", "connection"})


def patch(module: ModuleType) -> None:
    """Change both kinds of pool of the module `httpcore`."""
    core: Any = module

    def handle_request(self: Any, request: Any) -> Any:
        with _told_as(core):
            response = _sent(request)
        return core.Response(
            response.status,
            headers=[(k.encode("latin-1"), v.encode("latin-1")) for k, v in response.getheaders()],
            content=_Content(response, core),
            extensions={"http_version": b"HTTP/1.1", "reason_phrase": response.reason.encode()},
        )

    async def handle_async_request(self: Any, request: Any) -> Any:
        with _told_as(core):
            async with asyncio.timeout(_timeout(request)):
                response = await _sent_async(request)
        return core.Response(
            response.status,
            headers=response.raw_headers,
            content=_AsyncContent(response, core, _timeout(request)),
            extensions={
                "http_version": b"HTTP/1.1",
                "reason_phrase": (response.reason or "").encode(),
            },
        )

    core.ConnectionPool.handle_request = handle_request
    core.AsyncConnectionPool.handle_async_request = handle_async_request


def _timeout(request: Any) -> float | None:
    """Seconds that each wait may take."""
    seconds: float | None = request.extensions.get("timeout", {}).get("read")
    return seconds


def _fields(request: Any) -> list[tuple[str, str]]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    return [(name, value) for name, value in pairs if name.lower() not in _NOT_SENT]


def _length(fields: list[tuple[str, str]]) -> int | None:
    said = [value for name, value in fields if name.lower() == "content-length"]
    return int(said[0]) if said else None


def _sent(request: Any) -> http.client.HTTPResponse:
    url = request.url
    kind = Https if url.scheme == b"https" else http.client.HTTPConnection
    connection = kind(url.host.decode("ascii"), url.port, timeout=_timeout(request))
    connection.putrequest(
        request.method.decode("ascii"), url.target.decode("ascii"), skip_accept_encoding=True
    )
    fields = _fields(request)
    is_chunked = _length(fields) is None and request.method not in (b"GET", b"HEAD")
    if is_chunked:
        fields.append(("transfer-encoding", "chunked"))
    for name, value in fields:
        connection.putheader(name, value)
    connection.endheaders(request.stream, encode_chunked=is_chunked)
    return connection.getresponse()


async def _sent_async(request: Any) -> aiohttp.ClientResponse:
    fields = _fields(request)
    length = _length(fields)
    has_body = bool(length) or (length is None and request.method not in (b"GET", b"HEAD"))
    return await egress.send(
        request.method.decode("ascii"),
        bytes(request.url).decode("ascii"),
        fields,
        aiter(request.stream) if has_body else None,
        length,
        None,
    )


@contextmanager
def _told_as(core: Any) -> Iterator[None]:
    """Raise httpcore's exceptions, which httpx knows."""
    try:
        yield
    except TimeoutError as error:
        raise core.ReadTimeout(str(error)) from error
    except OSError as error:
        raise core.ConnectError(str(error)) from error
    except http.client.HTTPException as error:
        raise core.RemoteProtocolError(str(error)) from error


class _Content:
    """The body of a response, as a pool's response has it."""

    def __init__(self, response: http.client.HTTPResponse, core: Any) -> None:
        self._response = response
        self._core = core

    def __iter__(self) -> Iterator[bytes]:
        with _told_as(self._core):
            while chunk := self._response.read1(_PIECE):
                yield chunk

    def close(self) -> None:
        self._response.close()


class _AsyncContent:
    """The body of a response, as an asynchronous pool's response has it."""

    def __init__(self, response: aiohttp.ClientResponse, core: Any, seconds: float | None) -> None:
        self._response = response
        self._core = core
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = egress.chunks(self._response)
        with _told_as(self._core):
            while True:
                async with asyncio.timeout(self._seconds):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                yield chunk

    async def aclose(self) -> None:
        self._response.release()
