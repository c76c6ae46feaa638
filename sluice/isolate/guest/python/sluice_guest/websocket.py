"""WebSockets as whole messages, and two of them joined, by the rules of `sluice.wire.websocket`.

An end that vanished is never closed cleanly further on, and nobody on the way answers a close.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

HIGH_WATER = 128 * 1024
"""Bytes of messages at one end above which no more are taken in, until its reader takes some."""


@dataclass(frozen=True, slots=True)
class Close:
    """The end of one direction. Nothing follows it there."""

    code: int | None = None
    """Close code of RFC 6455 section 7.4. None: the frame was empty, which an API calls 1005."""
    reason: str = ""


Message = str | bytes | Close


class End(Protocol):
    """One end of an open WebSocket, with one reader and one writer."""

    @property
    def waiting(self) -> int:
        """Bytes sent that the peer has yet to take."""

    async def receive(self) -> Message | None:
        """Give the next message. None: the peer is gone without a close. Not after a `Close`."""

    def send(self, message: Message) -> None:
        """Send a message. Does nothing after a `Close`, or where the peer is gone."""

    async def drain(self) -> None:
        """Wait until there is room for more."""

    def close(self) -> None:
        """Give back what it holds. Unless both directions have closed, this resets the peer."""


async def join(near: End, far: End) -> None:
    """Carry messages both ways until each side has closed or one is gone, then close both.

    A side that does not answer a close is reset by the host.
    """
    ways = [asyncio.ensure_future(_carry(near, far)), asyncio.ensure_future(_carry(far, near))]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if all(way.result() for way in done):
            await asyncio.wait(ways)
    finally:
        for way in ways:
            way.cancel()
        near.close()
        far.close()


async def _carry(source: End, sink: End) -> bool:
    """Carry one direction. Whether it ended with a `Close`."""
    while (message := await source.receive()) is not None:
        sink.send(message)
        if isinstance(message, Close):
            return True
        try:
            await sink.drain()
        except ConnectionError:
            break
    return False
