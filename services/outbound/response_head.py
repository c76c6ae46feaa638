"""The head of a response: what aiohttp parsed, checked, as Sluice carries it."""

from __future__ import annotations

import re

from aiohttp.http import RawResponseMessage

from sluice.http1.heads import status_text
from sluice.wire import headers as header_list
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

_CONTROL = re.compile(rb"[\r\n\0]")


def response(message: RawResponseMessage, limit: int, host: str) -> Response:
    """The response without its body.

    Raises `INVALID_RESPONSE` for headers of more than `limit` bytes, for a control character that
    aiohttp's parser lets through, and for a switch of protocols that nobody asked for.
    """
    if message.code < 200:
        raise _invalid(host, f"answered with status {message.code}, which ends no exchange")
    if sum(len(name) + len(value) + 4 for name, value in message.raw_headers) > limit:
        raise _invalid(host, f"answered with more than {limit} bytes of headers")
    headers = [(name.decode("latin-1").lower(), value) for name, value in message.raw_headers]
    if _CONTROL.search(b" ".join(value for _, value in headers)):
        raise _invalid(host, "answered with a CR, LF or NUL within a header")
    length = None if message.chunked else header_list.find(headers, "content-length")
    # aiohttp decodes it so that every byte can be had back.
    phrase = message.reason.encode("utf-8", "surrogateescape")
    return Response(
        message.code,
        header_list.carried(headers),
        content_length=int(length) if length is not None else None,
        status_text=status_text(message.code, phrase),
    )


def _invalid(host: str, text: str) -> SluiceError:
    return SluiceError(Reason.INVALID_RESPONSE, f"{host} {text}", host=host)
