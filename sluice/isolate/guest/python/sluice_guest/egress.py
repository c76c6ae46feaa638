"""The way out: HTTP/1.1 to the host's egress, by aiohttp's client."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

import aiohttp
from yarl import URL

from sluice_guest import invocation
from sluice_guest.frames import Frames
from sluice_guest.heads import HOP_BY_HOP, MAX_HEAD, MAX_HEADERS
from sluice_guest.remote import RemoteError
from sluice_guest.transports import aiohttp_client

_PIECE = 64 * 1024
_NOT_SENT = HOP_BY_HOP | {"host"}
_NOT_ADDED = ("accept", "accept-encoding", "content-type", "user-agent")

_loop: asyncio.AbstractEventLoop
_session: aiohttp.ClientSession  # of this process, which has one way out


def open_session() -> None:
    """Make the session of `send`, in the running loop."""
    global _session, _loop
    _loop = asyncio.get_running_loop()
    _session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_NOT_ADDED,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        max_line_size=MAX_HEAD,
        max_field_size=MAX_HEAD,
        max_headers=MAX_HEADERS,
    )


async def send(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]],
    body: bytes | AsyncIterator[bytes] | None,
    length: int | None,
    chosen: str | None,
    *,
    asks_websocket: bool = False,
) -> aiohttp.ClientResponse:
    """Make one subrequest of the current invocation. Returns the head of its response.

    `chosen` is the control header of a dispatch namespace's `get()`. The response is closed when
    the invocation is over. Raises `OSError` outside of an invocation and where nothing answers, and
    `RemoteError` as the host says.
    """
    current = invocation.required()
    if asyncio.get_running_loop() is not _loop:
        raise RuntimeError(
            "fetch() belongs to the event loop of the request. In a thread, use urllib.request, "
            "requests or httpx.Client."
        )
    fields = [(name, value) for name, value in headers if name.lower() not in _NOT_SENT]
    if length is not None:
        fields.append(("content-length", str(length)))
    if asks_websocket:
        fields += _handshake()
    with told_as_errors(), aiohttp_client.choosing(chosen):
        response = await _session.request(
            method,
            URL(url, encoded=True),
            headers=fields,
            data=_pieces(body) if isinstance(body, bytes) and len(body) > _PIECE else body,
            allow_redirects=False,
        )
    current.opened.add(response)
    return response


def websocket(response: aiohttp.ClientResponse) -> Frames:
    """The WebSocket that a response with status 101 opens."""
    if response.connection is None or response.connection.protocol is None:
        raise RemoteError("Error", "Network connection lost.")
    protocol = response.connection.protocol
    frames = Frames(protocol, is_client=True, release=response.close)
    protocol.set_parser(frames.parser, frames.queue)
    return frames


@contextmanager
def told_as_errors() -> Iterator[None]:
    """Raise `RemoteError` where aiohttp's client raises an exception of its own."""
    try:
        yield
    except aiohttp.ClientError as error:
        if isinstance(error.__cause__, RemoteError):
            raise error.__cause__ from None
        raise RemoteError("Error", "Network connection lost.") from error


async def chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body of a response, as it comes."""
    with told_as_errors():
        async for chunk in response.content.iter_any():
            yield chunk


def _handshake() -> list[tuple[str, str]]:
    """What asks for a WebSocket (RFC 6455 section 4.1)."""
    return [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", base64.b64encode(os.urandom(16)).decode()),
    ]


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]
