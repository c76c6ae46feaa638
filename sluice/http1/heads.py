"""Heads as bytes (RFC 9112 sections 3 to 5). Pure.

What is written here is read by somebody else, so nothing goes out that could be read in two ways:
names are tokens, no value has a line break, and only this file's callers say how a body is framed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus

from sluice.http1 import target
from sluice.wire import headers as header_list
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.headers import Header

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,256}")
_METHOD = re.compile(r"[A-Z-]{1,32}")
_SAID_ELSEWHERE = header_list.FRAMING | header_list.HOP_BY_HOP
_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_STATUS_LINES = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, phrase) for status, phrase in _PHRASES.items()
}


def request_head(
    method: str,
    url: str,
    headers: Iterable[Header],
    control: Mapping[str, str],
    framing: bytes,
) -> bytes:
    """The head of a request in absolute form. `framing` is a whole line, or nothing.

    Raises `INVALID_REQUEST` for what HTTP/1.1 cannot carry. Drops headers that look like control.
    """
    host = target.authority(url)
    if not _is_method(method):
        raise SluiceError(Reason.INVALID_REQUEST, f"method: {method[:32]!r} cannot be asked for")
    parts = [f"{method} {url} HTTP/1.1\r\nhost: {host}\r\n".encode()]
    try:
        for name, value in headers:
            if (beginning := _plain(name)) is not None:
                parts += (beginning, value, b"\r\n")
        for name, text in control.items():
            parts += (_beginning(name), text.encode("ascii"), b"\r\n")
        return _head(parts, framing)
    except ValueError as error:
        raise SluiceError(Reason.INVALID_REQUEST, f"headers: {error}") from error


def response_head(
    status: int, headers: Iterable[Header], framing: bytes, text: str | None = None
) -> bytes:
    """The head of a response. `framing` is whole lines, or nothing. `text` is the reason phrase.

    Raises `INVALID_RESPONSE` for what HTTP/1.1 cannot carry, and for a status that is not final.
    """
    if not 200 <= status <= 599:
        raise SluiceError(Reason.INVALID_RESPONSE, f"status: {status} is not between 200 and 599")
    return _response_head(status, headers, framing, text)


def switch_head(headers: Iterable[Header], handshake: bytes) -> bytes:
    """The head of a response that opens a WebSocket. `handshake` is whole lines."""
    return _response_head(101, headers, handshake, None)


def _response_head(
    status: int, headers: Iterable[Header], framing: bytes, text: str | None
) -> bytes:
    try:
        parts = [_status_line(status) if text is None else _line_with(status, text)]
        for name, value in headers:
            parts += (_beginning(name), value, b"\r\n")
        return _head(parts, framing)
    except ValueError as error:
        raise SluiceError(Reason.INVALID_RESPONSE, f"headers: {error}") from error


def status_text(status: int, phrase: bytes) -> str | None:
    """The reason phrase of a response that arrived. None where it is the status's own."""
    return None if phrase == _PHRASES.get(status) else phrase.decode("latin-1")


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n".encode()


def _line_with(status: int, text: str) -> bytes:
    if "\r" in text or "\n" in text:
        raise ValueError("the status text has a line break")
    return f"HTTP/1.1 {status} {text}\r\n".encode("latin-1")


def _head(parts: list[bytes], framing: bytes) -> bytes:
    """All of it. One search of the whole finds what any value might smuggle in."""
    lines = b"".join(parts)
    written = (len(parts) - 1) // 3 + parts[0].count(b"\n")
    if lines.count(b"\n") != written or lines.count(b"\r") != written or b"\0" in lines:
        raise ValueError("a value has a CR, LF or NUL")
    return b"%b%b\r\n" % (lines, framing)


@lru_cache(maxsize=64)
def _is_method(method: str) -> bool:
    return method != "CONNECT" and _METHOD.fullmatch(method) is not None


@lru_cache(maxsize=1024)
def _plain(name: str) -> bytes | None:
    """As `_beginning`, or None for what only `control` may say."""
    return None if name.startswith(header_list.CONTROL_PREFIX) else _beginning(name)


@lru_cache(maxsize=1024)
def _beginning(name: str) -> bytes:
    """`name: `, checked. Cached, because nearly all names are the same few."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is not a lowercase header name")
    if name in _SAID_ELSEWHERE:
        raise ValueError(f"{name!r} is said by the message, not by a header")
    return f"{name}: ".encode()
