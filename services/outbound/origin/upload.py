"""A request body on its way to the origin, as fast as the origin takes it."""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter

from sluice.wire.body import Body
from sluice.wire.errors import Reason, SluiceError

LAST_CHUNK = b"0\r\n\r\n"


def framed(data: bytes, chunked: bool) -> bytes:
    """`data` as it goes on the wire (RFC 9112 section 7.1). Nothing, for no data."""
    return b"%x\r\n%b\r\n" % (len(data), data) if chunked and data else data


async def send(
    body: Body, length: int | None, protocol: ResponseHandler, idle_timeout: float, host: str
) -> None:
    """Send the rest of `body`: `length` bytes, or chunked for None.

    Ends early, without an error, where the origin closes the connection: it may have answered.
    Raises `SluiceError` where the body breaks off, is not as long as it said, or is not taken.
    """
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    left = length
    async for data in body:
        if left is not None:
            left -= len(data)
            if left < 0:
                raise SluiceError(Reason.INVALID_REQUEST, "the body is longer than its head says")
        if not await _write(writer, framed(data, left is None), idle_timeout, host):
            return
    if left:
        raise SluiceError(Reason.BODY_CUT_SHORT, f"the request body lacks {left} bytes")
    if left is None:
        await _write(writer, LAST_CHUNK, idle_timeout, host)


async def _write(writer: StreamWriter, data: bytes, idle_timeout: float, host: str) -> bool:
    """Write and wait until there is room for more; False where the connection is gone."""
    transport = writer.transport
    if transport is None or transport.is_closing():
        return False
    transport.write(data)
    if writer.protocol.writing_paused:
        try:
            async with asyncio.timeout(idle_timeout):
                await writer.drain()
        except TimeoutError as error:
            raise SluiceError(
                Reason.RESPONSE_TIMEOUT,
                f"{host} took nothing of the request body for {idle_timeout:g} s",
                host=host,
            ) from error
        except ConnectionError:
            return False
    return True
