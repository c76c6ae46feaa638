"""Serving: each request on the listening socket is one invocation of the Worker."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from sluice_guest import answer, control, invocation, rpc, trace, upgrade
from sluice_guest.background import Background
from sluice_guest.dispatch import DispatchNamespace
from sluice_guest.heads import MAX_HEAD, MAX_HEADERS
from sluice_guest.invocation import Invocation
from sluice_guest.remote import describe
from sluice_guest.worker import Description, LoadError, Worker
from workers.bindings import Env
from workers.body import Body
from workers.context import Context
from workers.headers import Headers
from workers.record import recorded
from workers.request import Received, Request
from workers.response import Response
from workers.subrequest import follow


class RaisedError(Exception):
    """What the Worker raised, which the host is to be told."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Listener(web.Server):
    """aiohttp's server, which tells when a connection is over, all that was sent being read."""

    def __init__(self, handler: Any, **options: Any) -> None:
        super().__init__(handler, **options)
        self.lost = asyncio.Event()

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Take note that a connection is over."""
        super().connection_lost(handler, exc)
        self.lost.set()


class Server:
    """Answers requests with a Worker, or with the reason why it cannot be loaded."""

    def __init__(self, worker: Worker | LoadError, description: Description) -> None:
        self._worker = worker
        self._description = description
        self._ending: set[asyncio.Task[None]] = set()
        self.served = asyncio.Event()
        """Set when an invocation is over."""

    def listener(self) -> Listener:
        """Make what speaks HTTP on each connection."""
        return Listener(
            self._serve,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_HEAD,
            max_field_size=MAX_HEAD,
            max_headers=MAX_HEADERS,
        )

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(http)
        except ConnectionError:
            # aiohttp would print it, with the paths of the host. It ends quietly what is cancelled.
            raise asyncio.CancelledError from None

    async def _answer(self, http: web.BaseRequest) -> web.StreamResponse:
        if isinstance(self._worker, LoadError):
            return await answer.send_error(describe(self._worker, "load"), http)
        chosen = recorded(control.decode(http.headers.get(control.ENV)))
        env = {**self._description.bindings, **chosen, **self._namespaces()}
        once = self._description.once
        current = Invocation(http.headers.get(control.TOKEN, ""), env)
        invocation.enter(current)
        try:
            response = await _respond(self._worker, http, Env(env), current.background)
            if response.web_socket is not None:
                return await upgrade.send(response, response.web_socket, http, current.background)
            return await answer.send(response, http, is_last=once)
        except RaisedError as raised:
            trace.show(raised.error)
            return await answer.send_error(describe(raised.error), http, is_last=once)
        finally:
            self._end_later(current)

    def _end_later(self, current: Invocation) -> None:
        """End an invocation when its work after the response is done."""
        ending = asyncio.create_task(_end(current), context=contextvars.Context())
        self._ending.add(ending)
        ending.add_done_callback(self._ended)

    def _ended(self, ending: asyncio.Task[None]) -> None:
        self._ending.discard(ending)
        self.served.set()

    def _namespaces(self) -> Mapping[str, Any]:
        names = self._description.dispatch_namespaces
        return {name: DispatchNamespace(name) for name in names}


async def _respond(
    worker: Worker, http: web.BaseRequest, env: Env, background: Background
) -> Response:
    """The response of the Worker. Raises `RaisedError` for whatever it raises."""
    call = control.decode(http.headers.get(control.CALL))
    ctx = Context(background, recorded(call.get("props") or {}))
    request = _request(http)
    try:
        if (method := call.get("method")) is not None:
            return await rpc.answer(worker.entrypoint(ctx, env), method, request)
        return _checked(await worker.respond(request, env, ctx), request)
    except (Exception, SystemExit) as error:
        # A body that was read cannot be sent on.
        if not ctx.fails_open or request.body_used:
            raise RaisedError(error) from error
        trace.show(error)
    try:
        return await follow(request)
    except Exception as refusal:
        raise RaisedError(refusal) from refusal


def _request(http: web.BaseRequest) -> Request:
    fields = Headers(
        [(name, value) for name, value in http.headers.items() if not control.is_control(name)]
    )
    fields.delete(hdrs.TRANSFER_ENCODING)
    body = None
    if http.body_exists:
        body = Body(http.content.iter_any(), length=http.content_length)
    url = http.raw_path if "://" in http.raw_path.partition("?")[0] else str(http.url)
    return Request(Received(http.method, url, fields, body))


def _checked(response: Any, request: Request) -> Response:
    """What a handler returned, if it can be sent."""
    if not isinstance(response, Response):
        raise TypeError(f"A handler must return a Response, not {type(response).__name__}.")
    if response.type == "error":
        raise TypeError(
            "Return value from serve handler must not be an error response (like Response.error())"
        )
    if response.body_used:
        raise TypeError("Body has already been used. It can only be used once.")
    if response.web_socket is not None:
        if not request.asks_websocket:
            raise TypeError(
                "Worker tried to return WebSocket in a response to a request which did not contain "
                'the header "Upgrade: websocket".'
            )
        response.web_socket.require_unused()
    return response


async def _end(current: Invocation) -> None:
    try:
        await current.background.join()
    finally:
        current.end()
