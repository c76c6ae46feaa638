"""What the far side may send, of one stream or of all of them (RFC 9113 section 5.2)."""

from __future__ import annotations


class ReceiveWindow:
    """Bytes that may still come, bytes that wait here, bytes that may be asked for again."""

    __slots__ = ("_left", "_owed", "_size", "held")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._owed = 0
        self.held = 0
        """Bytes that came and are still needed here."""

    def take(self, size: int) -> bool:
        """So many came, and wait here. False, and nothing, where it is more than was allowed."""
        if size > self._left:
            return False
        self._left -= size
        self.held += size
        return True

    def release(self, size: int) -> None:
        """So many are needed no more."""
        self.held -= size

    def owe(self, size: int) -> None:
        """As many as these may come again."""
        self._owed += size

    def grant(self) -> int:
        """How many more to allow now: none, until it is half of the window."""
        if self._owed < self._size // 2:
            return 0
        granted, self._owed = self._owed, 0
        self._left += granted
        return granted
