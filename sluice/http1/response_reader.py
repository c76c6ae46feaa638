"""Bytes to one response. No I/O."""

from __future__ import annotations

from collections.abc import Callable

import httptools

from sluice.http1 import handshake
from sluice.http1.fields import Fields, Line, check_size, sort
from sluice.http1.heads import status_text
from sluice.http1.incoming import Incoming
from sluice.http1.malformed import MalformedError, read_error
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

_EMPTY = Whole()


class ResponseReader:
    """Reads the response to one request, until it raises `MalformedError`."""

    def __init__(
        self,
        method: str,
        max_head: int,
        max_headers: int,
        new_body: Callable[[], Incoming],
        key: bytes | None = None,
    ) -> None:
        self.response: Response | None = None
        """The response, once its head is here."""
        self.control: dict[str, str] = {}
        """Its control headers."""
        self.complete = False
        """Whether all of it arrived."""
        self.reusable = False
        """Whether the connection may carry another request after it."""
        self.behind: bytes | None = None
        """After a response that opens a WebSocket: the bytes behind it."""
        self._key = key
        self._method = method
        self._max_head = max_head
        self._max_headers = max_headers
        self._new_body = new_body
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._phrase = b""
        self._lines: list[Line] = []
        self._body: Incoming | None = None
        self._until_close = False
        self._framing = 0

    def feed(self, data: bytes) -> None:
        """Read `data`. Bytes behind the response only make the connection unfit for another."""
        if self._parser is None:
            self.reusable = False
            return
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.behind = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self.reusable = False
            if not self.complete:
                raise read_error(error, 502) from None
        if self.complete:
            self.close()
        elif self._framing > self._max_head:
            raise MalformedError(502, f"more than {self._max_head} bytes of head or framing")

    def close(self) -> None:
        """Read no more."""
        self._parser = None  # It holds this reader: left alone, the two wait for the collector.

    def end(self, error: SluiceError | None) -> None:
        """The connection ended: cleanly, or by `error`. Only a body without a length ends so."""
        self.close()
        if self.complete or self._body is None:
            return
        if self._until_close and error is None:
            self.complete = True
            self._body.finish()
        else:
            self._body.fail(
                error or SluiceError(Reason.BODY_CUT_SHORT, "the response ended before its end")
            )

    def on_message_begin(self) -> None:
        """A response, which must be the only one, unless those before it were interim."""
        if self.complete:
            raise MalformedError(502, "bytes behind the response")
        self._phrase = b""

    def on_status(self, part: bytes) -> None:
        """More of the reason phrase."""
        self._phrase += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line, or after the head one trailer line, which is dropped."""
        self._lines.append((name, value))
        if len(self._lines) > self._max_headers:
            raise MalformedError(502, f"more than {self._max_headers} headers")

    def on_headers_complete(self) -> None:
        """The end of a head."""
        lines, self._lines = self._lines, []
        parser = self._parser
        assert parser is not None  # noqa: S101 — for mypy; it is what calls this
        status, version = parser.get_status_code(), parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise MalformedError(502, f"a response in HTTP/{version}")
        if 100 <= status < 200 and status != 101:
            return
        if status == 101 and self._key is not None:
            self._switch(lines)
            return
        if not 200 <= status <= 599:
            raise MalformedError(502, f"status {status}")
        if self._framing > self._max_head:
            check_size(len(self._phrase), lines, self._max_head)
        fields = sort(lines)
        self.control = fields.control
        self.reusable = version == "1.1" and not fields.closes()
        self._begin(status, fields)

    def on_body(self, data: bytes) -> None:
        """More of the body."""
        self._framing = 0
        if self._body is None:
            raise MalformedError(502, "a body where none can be")
        self._body.feed(data)

    def on_message_complete(self) -> None:
        """The end of the response, or of an interim one."""
        if self.response is None:
            return
        self._framing = 0
        self._lines.clear()
        self.complete = True
        if self._body is not None:
            self._body.finish()

    def _switch(self, lines: list[Line]) -> None:
        fields = sort(lines)
        if self._key is None or not handshake.is_accepted(self._key, fields.own):
            raise MalformedError(502, "a 101 that does not open the WebSocket that was asked for")
        self.control = fields.control
        self.response = Response(101, fields.headers)

    def _begin(self, status: int, fields: Fields) -> None:
        length, chunked = fields.body_length()
        headers = fields.headers
        text = status_text(status, self._phrase)
        if self._method == "HEAD" or status in (204, 304):
            known = length if self._method == "HEAD" else None
            self.response = Response(status, headers, _EMPTY, known, status_text=text)
            self.complete = True
            return
        self._until_close = not chunked and length is None
        self.reusable = self.reusable and not self._until_close
        self._body = self._new_body()
        self.response = Response(status, headers, self._body, length, status_text=text)
