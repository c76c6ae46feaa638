"""aiohttp's client: every connection is one to the egress, every target is absolute.

The names with an underscore are aiohttp's own; `tests/isolate/python` shows that they still do what
is expected of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp import ClientRequest, ClientResponse, TCPConnector
from aiohttp.client_reqrep import ConnectionKey

from sluice_guest import broker, control, invocation
from sluice_guest.remote import remote_error
from sluice_guest.replacement import replace

_KEY = ConnectionKey("egress", None, False, True, None, None, None, None)
_HTTP = {"ws": "http", "wss": "https"}

_chosen: ContextVar[str | None] = ContextVar("chosen", default=None)
_start = ClientResponse.start
_send = ClientRequest.send
_update_headers = ClientRequest.update_headers


def install() -> None:
    """Send what any `ClientSession` of this process sends to the egress."""
    replace(TCPConnector, _create_connection=_connect_to_egress)
    replace(
        ClientRequest,
        is_ssl=_is_ssl,
        connection_key=_KEY,
        send=_send_absolute,
        update_headers=_update_with_token,
    )
    replace(ClientResponse, start=_start_or_raise)


@contextmanager
def choosing(chosen: str | None) -> Iterator[None]:
    """Let the requests of this block say which dispatched Worker they are for."""
    token = _chosen.set(chosen)
    try:
        yield
    finally:
        _chosen.reset(token)


async def _connect_to_egress(
    self: TCPConnector, req: ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout
) -> Any:
    sock = await broker.connection()
    _, protocol = await self._loop.create_unix_connection(self._factory, sock=sock)
    return protocol


def _is_ssl(_: ClientRequest) -> bool:
    return False


async def _send_absolute(self: ClientRequest, conn: Any) -> ClientResponse:
    scheme = self.url.scheme
    self.url = self.url.with_scheme(_HTTP[scheme]) if scheme in _HTTP else self.url
    self.proxy = self.url  # aiohttp asks a proxy for the absolute URL.
    return await _send(self, conn)


def _update_with_token(self: ClientRequest, headers: Any) -> None:
    current = invocation.required()
    _update_headers(self, headers)
    for name in [name for name in self.headers if control.is_control(name)]:
        del self.headers[name]
    self.headers[control.TOKEN] = current.token
    if chosen := _chosen.get():
        self.headers[control.GET] = chosen


async def _start_or_raise(self: ClientResponse, connection: Any) -> ClientResponse:
    response = await _start(self, connection)
    if header := response.headers.get(control.ERROR):
        response.close()
        raise remote_error(header)
    return response
