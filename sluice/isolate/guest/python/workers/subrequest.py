"""`fetch()`: a request of the Worker, which leaves through the Outbound Worker."""

from __future__ import annotations

from typing import Any

import aiohttp

from sluice_guest import egress
from workers import data_url
from workers.body import Body
from workers.headers import Headers
from workers.redirects import following
from workers.request import Request
from workers.response import Received, Response
from workers.websocket import WebSocket

MAX_REDIRECTS = 20

_NO_BODY = (101, 204, 205, 304)


async def fetch(resource: Request | str, **options: Any) -> Response:
    """Send a request. `options` are those of `Request`.

    Raises what a Worker on the way raised, and `OSError` where nothing answered or there is no
    request that is being served. https://developers.cloudflare.com/workers/runtime-apis/fetch/
    """
    return await follow(request_of(resource, options))


def request_of(resource: Request | str, options: dict[str, Any]) -> Request:
    """The request that the arguments of a `fetch()` mean."""
    if isinstance(resource, Request) and not options:
        return resource
    return Request(resource, **options)


async def follow(request: Request, chosen: str | None = None) -> Response:
    """Send a request, and those that its redirects ask for, at most `MAX_REDIRECTS`.

    `chosen` says which Worker of a dispatch namespace it is for.
    """
    if data_url.is_data(request.url):
        return _local(request, chosen)
    for hop in range(MAX_REDIRECTS + 1):
        body = request.body
        content = body.content if body is not None and isinstance(body.content, bytes) else None
        answer = await _send(request, chosen)
        location = answer.headers.get("location")
        next_request = following(request, answer.status, location, content)
        if next_request is None:
            return _response(request, answer, is_redirected=hop > 0)
        answer.release()
        request = next_request
    raise TypeError("Too many redirects.")


def _local(request: Request, chosen: str | None) -> Response:
    """The response to a `data:` URL. No Worker is asked for one."""
    kind, content = data_url.decode(request.url)
    if chosen is not None:
        raise TypeError(f"Fetch API cannot load: {request.url[:200]}")
    return Response(content if request.method == "GET" else b"", headers={"content-type": kind})


async def _send(request: Request, chosen: str | None) -> aiohttp.ClientResponse:
    body = request.body
    return await egress.send(
        str(request.method),
        request.url,
        request.headers.raw(),
        None if body is None else body.sent(),
        None if body is None else body.length,
        chosen,
        asks_websocket=request.asks_websocket,
    )


def _response(request: Request, answer: aiohttp.ClientResponse, *, is_redirected: bool) -> Response:
    fields = Headers([(name, value) for name, value in answer.headers.items()])
    body = None
    if request.method != "HEAD" and answer.status not in _NO_BODY:
        coding = fields.get("content-encoding")
        body = Body(
            egress.chunks(answer),
            length=answer.content_length,
            coding="gzip" if coding == "gzip" else None,
        )
    fields.delete("transfer-encoding")
    return Response(
        Received(
            answer.status,
            answer.reason or "",
            fields,
            body,
            request.url,
            is_redirected=is_redirected,
            web_socket=WebSocket(egress.websocket(answer)) if answer.status == 101 else None,
        )
    )
