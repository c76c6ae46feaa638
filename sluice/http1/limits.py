"""What a server lets one connection cost."""

from __future__ import annotations

from dataclasses import dataclass

from sluice.wire.websocket import MAX_MESSAGE

_SWEEP = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. A time may be `math.inf`."""

    max_head: int = 128 * 1024
    """Request line and header section. Also the most framing between two pieces of a body."""
    max_headers: int = 256
    max_url: int = 16 * 1024
    head_timeout: float = 30.0
    """To receive a head, once its first byte came."""
    idle_timeout: float = 75.0
    """Between requests, and before the first."""
    stall_timeout: float = 300.0
    """Without a byte moving, while a handler waits for the peer to send or to read."""
    min_rate: int = 0
    """Least bytes a second that a peer must send or take meanwhile. 0: any will do.

    What moved faster makes up for as much as `stall_timeout`, which has no other say then.
    """
    rate_grace: float = 5.0
    """To wait for a peer before `min_rate` counts."""
    max_message: int = MAX_MESSAGE
    """Most bytes of one WebSocket message."""
    max_connections: int = 10_000
    """One more takes the place of the oldest that has no request, or is closed at once."""

    @property
    def sweep(self) -> float:
        """Seconds between two looks at whom we wait for. No deadline is missed by much more."""
        times = (self.head_timeout, self.idle_timeout, self.stall_timeout, self.rate_grace)
        return min(_SWEEP, *(time / 4 for time in times))
