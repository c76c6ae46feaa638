"""Bytes to requests. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from sluice.http1 import handshake
from sluice.http1.exchange import Exchange, Peer
from sluice.http1.fields import Fields, Line, check_size, sort
from sluice.http1.incoming import Incoming
from sluice.http1.limits import Limits
from sluice.http1.malformed import MalformedError, read_error
from sluice.http1.target import url_of
from sluice.wire.body import Whole
from sluice.wire.messages import Request

_EMPTY = Whole()


@dataclass(slots=True)
class Arrived:
    """A request whose head is here."""

    exchange: Exchange
    body: Incoming | None
    """Its body, where it has one."""
    keep_alive: bool
    chunks: bool
    """Whether the client can read a chunked response: not before HTTP/1.1."""
    expects: bool
    """Whether the client sends the body only after `100 Continue`."""
    key: bytes | None = None
    """Of a request that asks for a WebSocket: `sec-websocket-key`."""

    @property
    def unread(self) -> bool:
        """Whether some of the body is still to come."""
        return self.body is not None and not self.body.complete


class RequestReader:
    """Reads one connection, until it raises `MalformedError`."""

    def __init__(
        self, limits: Limits, scheme: str, peer: Peer, new_body: Callable[[], Incoming]
    ) -> None:
        self.arrived: deque[Arrived] = deque()
        """Requests in order. Those behind the first were pipelined, within one read."""
        self.body: Incoming | None = None
        """The body that is being read."""
        self.ended = False
        """Whether the last request of the connection has been read."""
        self.amid = False
        """Whether a head has begun and not ended."""
        self._limits = limits
        self._max_headers = limits.max_headers
        self._scheme = scheme
        self._peer = peer
        self._new_body = new_body
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._lines: list[Line] = []
        self._keep_alive = True
        self._framing = 0
        self._fed = 0
        self._skipped: bytes | None = None
        self._priming = False
        self._behind: bytearray | None = None

    def feed(self, data: bytes) -> None:
        """Read `data`. What it makes is in `arrived` and `body`."""
        if self.ended:
            return
        if self._behind is not None:
            self._behind += data
            if len(self._behind) > self._limits.max_head:
                raise MalformedError(431, "too much behind a request for a WebSocket")
            return
        self._fed = len(data)
        self._framing += self._fed
        left: bytes | memoryview = data
        try:
            while left and not self.ended:
                left = self._parse(left)
        except httptools.HttpParserError as error:
            if not self.ended:
                raise read_error(error, 400) from None
        if self._framing > self._limits.max_head:
            raise MalformedError(431, f"more than {self._limits.max_head} bytes of head or framing")

    def close(self) -> None:
        """Read no more."""
        self.ended = True
        # They hold this reader and its connection: left alone, all wait for the collector.
        del self._parser, self._new_body

    def take_behind(self) -> bytes:
        """Bytes that came behind a request for a WebSocket, which is answered now.

        Until then they may have been frames or requests. What comes from now on is read again.
        """
        behind, self._behind = self._behind, None
        return bytes(behind or b"")

    def _parse(self, data: bytes | memoryview) -> bytes | memoryview:
        """Feed the parser. Returns what it left, which is what follows an upgrade request.

        llhttp takes what follows for another protocol, and with it the request's own body. Clients
        that offer `h2c` do send bodies with it, so a new parser is told of the body alone.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parser = httptools.HttpRequestParser(self)
            if self._skipped is not None:
                self._priming = True
                self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % self._skipped)
                self._priming = False
                self._skipped = None
            left = memoryview(data)[upgrade.args[0] :]
            if self.arrived and self.arrived[-1].key is not None:
                self._behind = bytearray(left)
                return b""
            return left
        return b""

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if self.ended:
            raise MalformedError(400, "a request behind the last one")
        self.amid = True

    def on_url(self, part: bytes) -> None:
        """More of the target."""
        self._url += part
        if len(self._url) > self._limits.max_url:
            raise MalformedError(414, f"the target is longer than {self._limits.max_url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line, or after the head one trailer line, which is dropped."""
        self._lines.append((name, value))
        if len(self._lines) > self._max_headers:
            raise MalformedError(431, f"more than {self._max_headers} headers")

    def on_headers_complete(self) -> None:
        """The end of a head."""
        target, lines = self._url, self._lines
        self._url, self._lines = b"", []
        self.amid = False
        if self._priming:
            return
        method = self._parser.get_method().decode()
        version = self._parser.get_http_version()
        if method == "CONNECT":
            raise MalformedError(405, "CONNECT is not served")
        if version not in ("1.1", "1.0"):
            raise MalformedError(505, f"HTTP/{version} is not served")
        if self._framing + self._fed > self._limits.max_head:
            check_size(len(target), lines, self._limits.max_head)
        fields = sort(lines)
        url = url_of(target.decode("latin-1"), fields.own.get("host", []), self._scheme)
        self._arrive(method, url, fields, modern=version == "1.1")

    def on_body(self, data: bytes) -> None:
        """More of the body."""
        self._framing = 0
        if self.body is not None:
            self.body.feed(data)

    def on_message_complete(self) -> None:
        """The end of a request, or of the head of one whose body was skipped."""
        if self._skipped is not None:
            return
        self._framing = 0
        self._lines.clear()
        self.ended = not self._keep_alive
        if self.body is not None:
            self.body.finish()
            self.body = None

    def _arrive(self, method: str, url: str, fields: Fields, *, modern: bool) -> None:
        length, chunked = fields.body_length()
        if chunked and not modern:
            raise MalformedError(400, "transfer-encoding in HTTP/1.0")
        body = self._new_body() if chunked or length else None
        upgrade = key = None
        if self._parser.should_upgrade():
            asked = b",".join(fields.own["upgrade"]).decode("latin-1").lower()
            upgrade = asked if modern else None
            self._skip_body(length, chunked=chunked)
        if upgrade == handshake.WEBSOCKET and method == "GET" and body is None:
            upgrade, key = None, handshake.key_of(fields.own)
        self.body = body
        self._keep_alive = modern and not fields.closes()
        request = Request(method, url, fields.headers, body or _EMPTY, length, key is not None)
        exchange = Exchange(request, fields.control, self._peer, upgrade)
        expects = modern and _expects(fields)
        self.arrived.append(Arrived(exchange, body, self._keep_alive, modern, expects, key))

    def _skip_body(self, length: int | None, *, chunked: bool) -> None:
        if chunked:
            self._skipped = b"transfer-encoding: chunked"
        elif length:
            self._skipped = b"content-length: %d" % length


def _expects(fields: Fields) -> bool:
    """Whether to send `100 Continue` (RFC 9110 section 10.1.1)."""
    values = fields.own.get("expect")
    if values is None:
        return False
    if [value.lower() for value in values] != [b"100-continue"]:
        raise MalformedError(417, "an expectation that is not 100-continue")
    return True
