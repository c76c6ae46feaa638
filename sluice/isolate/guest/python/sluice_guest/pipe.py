"""A WebSocket within this process: what is sent at one end is received at the other."""

from __future__ import annotations

from sluice_guest.mailbox import Mailbox
from sluice_guest.websocket import Close, Message


class Pipe:
    """One of two ends, which `pair` makes."""

    def __init__(self, incoming: Mailbox, outgoing: Mailbox) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._has_closed = False

    @classmethod
    def pair(cls) -> tuple[Pipe, Pipe]:
        """Make two ends of one WebSocket."""
        one, other = Mailbox(), Mailbox()
        return cls(one, other), cls(other, one)

    @property
    def waiting(self) -> int:
        """Bytes sent that the peer has yet to take."""
        return self._outgoing.size

    async def receive(self) -> Message | None:
        """Give the next message. None: the other end was given up without a close."""
        return await self._incoming.take()

    def send(self, message: Message) -> None:
        """Send a message."""
        if not self._has_closed:
            self._has_closed = isinstance(message, Close)
            self._outgoing.put(message)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent."""
        await self._outgoing.room()

    def close(self) -> None:
        """Give it up. What was sent is still received."""
        self._incoming.end()
        self._outgoing.end()
