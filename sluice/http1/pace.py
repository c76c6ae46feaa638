"""The least rate at which a client must send and take, so that it holds no place for nothing."""

from __future__ import annotations

from sluice.http1.limits import Limits


class Pace:
    """How much longer a client may keep us waiting, in one direction of one request.

    It begins with the grace, spends what we wait, and earns by each byte as long as that may take
    at the least rate: `RequestReadTimeout body=20,MinRate=500` of Apache's mod_reqtimeout, where
    only what we wait for the client counts. It never has more than the stall timeout.
    """

    __slots__ = ("_left", "_limits", "_moved")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # We may wait since a moment ago: what the first look spends is not the client's.
        self._left = limits.rate_grace + limits.sweep
        self._moved = 0

    @property
    def is_spent(self) -> bool:
        """Whether the client is too slow."""
        return self._left <= 0

    def wait(self, moved: int) -> bool:
        """We wait at this look too, with `moved` bytes of the message so far. Returns `is_spent`.

        A look counts as one sweep, however late it comes: what held us up was not the client.
        """
        limits = self._limits
        earned = max(0, moved - self._moved) / limits.min_rate
        self._moved = moved
        self._left = min(self._left + earned, limits.stall_timeout) - limits.sweep
        return self.is_spent
