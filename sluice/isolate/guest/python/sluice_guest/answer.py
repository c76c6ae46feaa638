"""How a response leaves: on the connection that its request came in."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import hdrs, web

from sluice_guest import control, trace
from sluice_guest.heads import HOP_BY_HOP
from workers.body import Body
from workers.response import Response

_NO_LENGTH = (204, 304)
_ADDED = (hdrs.CONTENT_TYPE, hdrs.DATE, hdrs.SERVER)


class Answer(web.StreamResponse):
    """An aiohttp response with the headers that it is given, and no others."""

    async def _prepare_headers(self) -> None:
        added = [name for name in _ADDED if name not in self.headers]
        await super()._prepare_headers()
        for name in added:
            self.headers.popall(name, None)


async def send_error(
    description: str, http: web.BaseRequest, *, is_last: bool = False
) -> web.StreamResponse:
    """Tell the host of an exception, by a control header that no response of a Worker can have."""
    answer = Answer(status=500)
    answer.headers[control.ERROR] = description
    answer.content_length = 0
    if is_last:
        answer.force_close()
    await answer.prepare(http)
    await answer.write_eof()
    return answer


async def send(
    response: Response, http: web.BaseRequest, *, is_last: bool = False
) -> web.StreamResponse:
    """Send a response of the Worker. Raises `ConnectionError` where its body breaks off.

    `is_last` ends the connection with it.
    """
    answer = Answer(status=response.status, reason=response.status_text or None)
    copy_headers(response, answer)
    content, length = _content(response)
    if http.method == "HEAD":
        length = length or _length_said(response)
    if length is not None and response.status not in _NO_LENGTH:
        answer.content_length = length
    if is_last:
        answer.force_close()
    await answer.prepare(http)
    if http.method != "HEAD":
        try:
            await _write(answer, content, length)
        except (Exception, SystemExit) as error:
            if not isinstance(error, ConnectionError) or http.transport is not None:
                trace.show(error)
            _break_off(http)
            raise ConnectionAbortedError("the response broke off") from error
    await answer.write_eof()
    return answer


def copy_headers(response: Response, answer: Answer) -> None:
    """Give an answer those headers of a response that are the Worker's to say."""
    for name, value in response.headers.raw():
        if name not in HOP_BY_HOP and not control.is_control(name):
            answer.headers.add(name, value)


def _content(response: Response) -> tuple[bytes | AsyncGenerator[bytes, None], int | None]:
    """What goes on the wire, and how many bytes that is if it is known.

    As in workerd, `content-encoding: gzip` is done here, unless the body came so.
    """
    body = response.body
    if body is None:
        return b"", 0
    wanted = response.headers.get("content-encoding")
    if (wanted == "gzip") == (body.coding == "gzip"):
        length = body.length
        return body.sent(), length
    if body.coding == "gzip":
        return aiter(body), None
    return _compressed(body), None


async def _compressed(body: Body) -> AsyncGenerator[bytes, None]:
    encoder = zlib.compressobj(wbits=31)
    async for chunk in body:
        # Each chunk is sent when it comes: it may be an event that somebody waits for.
        yield encoder.compress(chunk) + encoder.flush(zlib.Z_SYNC_FLUSH)
    yield encoder.flush()


async def _write(
    answer: Answer, content: bytes | AsyncGenerator[bytes, None], length: int | None
) -> None:
    """Write the body. Raises `OSError` where it is not as long as was said."""
    if isinstance(content, bytes):
        await answer.write(content)
        return
    sent = 0
    # A Worker's generator hears at once that nobody wants the rest.
    async with aclosing(content):
        async for chunk in content:
            sent += len(chunk)
            if length is not None and sent > length:
                break
            await answer.write(chunk)
    if length is not None and sent != length:
        raise OSError(f"The body is not {length} bytes long, as its response says.")


def _length_said(response: Response) -> int | None:
    """The length of what a response to GET would have."""
    said = response.headers.get("content-length") or ""
    return int(said) if said.isascii() and said.isdigit() else None


def _break_off(http: web.BaseRequest) -> None:
    if http.transport is not None:
        http.transport.abort()
