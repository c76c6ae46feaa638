"""The head of a response: what aiohttp parsed, checked, as Sluice carries it."""

from __future__ import annotations

from aiohttp.http import RawResponseMessage

from sluice.http1.heads import status_text
from sluice.wire import headers as header_list
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response


def response(
    message: RawResponseMessage, limit: int, host: str, *, switches: bool = False
) -> Response:
    """The response without its body. `switches`: it may open a WebSocket.

    Raises `INVALID_RESPONSE` for headers of more than `limit` bytes, for a switch of protocols, and
    for a transfer coding such as gzip: nobody asked for them, and only chunks are undone.
    """
    if message.code < 200 and not switches:
        raise _invalid(host, f"answered with status {message.code}, which ends no exchange")
    if sum(len(name) + len(value) + 4 for name, value in message.raw_headers) > limit:
        raise _invalid(host, f"answered with more than {limit} bytes of headers")
    headers = [(name.decode("latin-1").lower(), value) for name, value in message.raw_headers]
    coding = header_list.find(headers, "transfer-encoding")
    if coding is not None and coding.lower() not in (b"chunked", b"identity"):
        raise _invalid(host, "answered with a transfer coding other than chunked")
    length = header_list.find(headers, "content-length")
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
