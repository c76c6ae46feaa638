"""Requests and responses as values, and their heads to and from protobuf."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sluice.pb import http_pb2
from sluice.wire import headers as header_list
from sluice.wire.body import Body, Watched, Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import Header
from sluice.wire.websocket import WatchedSocket, WebSocket

MAX_URL = 16 * 1024
"""Most characters of a URL (Workers limits: 16 KB)."""

MAX_TEXT = 8 * 1024
"""Most characters of a reason phrase."""

MAX_LENGTH = 10**18 - 1
"""Most bytes that a body may be said to have: the HTTP listeners take 18 digits too."""

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_BAD_URL = re.compile(r"[^\x21-\x7e]")
_BAD_AUTHORITY = re.compile(
    r"[\\^|<>@]"
)  # what the URL Standard takes for the end of a host, or no URL
_BAD_TEXT = re.compile(r"[\r\n\0]|[^\0-\xff]")


@dataclass(slots=True)
class Request:
    """One request. `url` is absolute; `headers` never hold what `headers.carried` drops."""

    method: str
    url: str
    headers: list[Header] = field(default_factory=list)
    body: Body = field(default_factory=Whole)
    content_length: int | None = None
    websocket: bool = False
    """Whether it asks to open a WebSocket. Such a request has no body."""


@dataclass(slots=True)
class Response:
    """One response. `headers` never hold what `headers.carried` drops.

    Whoever gets one closes it, or its body or WebSocket, in every case.
    """

    status: int
    headers: list[Header] = field(default_factory=list)
    body: Body = field(default_factory=Whole)
    content_length: int | None = None
    status_text: str | None = None
    """Reason phrase, in latin-1. None: the status's own."""
    websocket: WebSocket | None = None
    """The far end, where `status` is 101."""

    def watch(self, closed: Callable[[Watched | WatchedSocket], None]) -> Watched | WatchedSocket:
        """Count what comes, and call `closed` once when the body or the WebSocket is over.

        Returns what counts.
        """
        if self.websocket is None:
            self.body = body = Watched(self.body, closed)
            return body
        self.websocket = websocket = WatchedSocket(self.websocket, closed)
        return websocket

    async def aclose(self) -> None:
        """Want no more of it."""
        await self.body.aclose()
        if self.websocket is not None:
            await self.websocket.aclose()


def has_body(method: str, status: int) -> bool:
    """Whether a response to `method` with `status` has a body (RFC 9110 section 6.4.1)."""
    return method != "HEAD" and status >= 200 and status not in (204, 205, 304)


def request_to_pb(request: Request, head: http_pb2.HttpRequestHead) -> None:
    """Fill `head` from `request`."""
    head.method = request.method
    head.url = request.url
    add = head.headers.add
    for name, value in request.headers:
        add(name=name, value=value)
    if request.content_length is not None:
        head.content_length = request.content_length
    head.websocket = request.websocket


def request_from_pb(head: http_pb2.HttpRequestHead, body: Body) -> Request:
    """The request that `head` begins. Raises `INVALID_REQUEST` for one that HTTP cannot carry."""
    if not _METHOD.fullmatch(head.method):
        raise SluiceError(Reason.INVALID_REQUEST, f"head.method: {head.method[:64]!r} is no method")
    if head.method == "CONNECT":
        raise SluiceError(Reason.INVALID_REQUEST, "head.method: CONNECT is not carried")
    check_url(head.url)
    headers = [(h.name, h.value) for h in head.headers]
    header_list.check_carried(headers)
    length = _length(head, Reason.INVALID_REQUEST)
    if head.websocket and (head.method != "GET" or length):
        raise SluiceError(Reason.INVALID_REQUEST, "head.websocket: only a GET without a body may")
    return Request(head.method, head.url, headers, body, length, head.websocket)


def response_to_pb(response: Response, head: http_pb2.HttpResponseHead) -> None:
    """Fill `head` from `response`."""
    head.status = response.status
    add = head.headers.add
    for name, value in response.headers:
        add(name=name, value=value)
    if response.content_length is not None:
        head.content_length = response.content_length
    if response.status_text is not None:
        head.status_text = response.status_text


def response_from_pb(head: http_pb2.HttpResponseHead, body: Body) -> Response:
    """The response that `head` begins. Raises `INVALID_RESPONSE` for what HTTP cannot carry."""
    if not (200 <= head.status <= 599 or head.status == 101):
        raise SluiceError(Reason.INVALID_RESPONSE, f"head.status: {head.status} ends no exchange")
    headers = [(h.name, h.value) for h in head.headers]
    header_list.check_carried(headers, Reason.INVALID_RESPONSE)
    text = head.status_text if head.HasField("status_text") else None
    if text and (len(text) > MAX_TEXT or _BAD_TEXT.search(text)):
        raise SluiceError(
            Reason.INVALID_RESPONSE, f"head.status_text: {text[:100]!r} is no reason phrase"
        )
    length = _length(head, Reason.INVALID_RESPONSE)
    return Response(head.status, headers, body, length, status_text=text)


def _length(
    head: http_pb2.HttpRequestHead | http_pb2.HttpResponseHead, reason: Reason
) -> int | None:
    """What the head says of the body's length."""
    if not head.HasField("content_length"):
        return None
    if head.content_length > MAX_LENGTH:
        raise SluiceError(reason, f"head.content_length: {head.content_length}, over {MAX_LENGTH}")
    return head.content_length


def check_url(url: str) -> None:
    """Raise `INVALID_REQUEST` unless `url` is absolute, http(s), plain ASCII and not too long."""
    if len(url) > MAX_URL:
        raise SluiceError(Reason.INVALID_REQUEST, f"head.url: longer than {MAX_URL} characters")
    if _BAD_URL.search(url):
        raise SluiceError(Reason.INVALID_REQUEST, "head.url: has a character that is not ASCII")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise SluiceError(Reason.INVALID_REQUEST, f"head.url: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SluiceError(
            Reason.INVALID_REQUEST, f"head.url: {url[:100]!r} is not an absolute http(s) URL"
        )
    if "#" in url or _BAD_AUTHORITY.search(parts.netloc):
        raise SluiceError(
            Reason.INVALID_REQUEST, "head.url: has userinfo, a fragment or an impossible host"
        )
