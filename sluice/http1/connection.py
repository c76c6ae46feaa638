"""What both ends of a connection share: a transport that is held and written to."""

from __future__ import annotations

import asyncio
from typing import cast

from sluice.http1.writer import Writer


class Connection(asyncio.Protocol):
    """Reading is held while anybody holds it."""

    transport: asyncio.Transport
    out: Writer

    def __init__(self) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the transport is gone."""
        self._holds = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.out = Writer(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if not self.lost.done():
            self.lost.set_result(None)
        self.out.resume()

    @property
    def full(self) -> bool:
        """Whether the transport has asked for a pause."""
        return self.out.full

    def write(self, data: bytes) -> None:
        """Send `data`."""
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport has room."""
        await self.out.drain()

    def finish(self) -> None:
        """Send no more, once what was written is sent, but read on."""
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()

    def pause_writing(self) -> None:
        """The transport is full."""
        self.out.pause()

    def resume_writing(self) -> None:
        """The transport has room again."""
        self.out.resume()

    def hold(self) -> None:
        """Stop reading, until as many calls of `release`."""
        self._holds += 1
        if self._holds == 1 and not self.transport.is_closing():
            self.transport.pause_reading()

    def release(self) -> None:
        """Take back one `hold`."""
        self._holds -= 1
        if self._holds == 0 and not self.transport.is_closing():
            self.transport.resume_reading()
