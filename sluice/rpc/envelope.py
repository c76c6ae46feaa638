"""Messages in a stream's data: five bytes say whether and how long (Length-Prefixed-Message)."""

from __future__ import annotations

from collections import deque

import grpc

from sluice.rpc.status import Status

_PREFIX = 5
_APART = 256  # messages that are taken apart beforehand: small ones cost ten times their bytes so


def envelope(message: bytes) -> bytes:
    """A message as it is sent."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Inbox:
    """The messages that have come, and the beginning of the next. At most `most` bytes each."""

    __slots__ = ("_most", "_rest", "messages")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()
        self.messages: deque[bytes] = deque()

    @property
    def clean(self) -> bool:
        """Whether no message has begun that has not come whole."""
        at, size = 0, len(self._rest)
        while size - at >= _PREFIX:
            at += _PREFIX + _length(self._rest, at)
        return at == size

    @property
    def begun(self) -> int:
        """Bytes of a message that has not come whole, and of those that are not yet apart."""
        return len(self._rest)

    def feed(self, data: bytes) -> Status | None:
        """Take in data. Returns what is wrong with it."""
        if not self._rest and self._is_one(data) and len(self.messages) < _APART:
            self.messages.append(data[_PREFIX:])
            return None
        self._rest += data
        return self.split()

    def split(self) -> Status | None:
        """Take messages apart, if there are not many already. Returns what is wrong with them.

        To be called when `messages` has been emptied.
        """
        rest = self._rest
        at, size = 0, len(rest)
        while size - at >= _PREFIX and len(self.messages) < _APART:
            if wrong := self._check(rest[at], length := _length(rest, at)):
                del rest[:at]  # what is before it is not to come twice
                return wrong
            end = at + _PREFIX + length
            if end > size:
                break
            self.messages.append(bytes(rest[at + _PREFIX : end]))
            at = end
        if at:
            del rest[:at]
        return None

    def _is_one(self, data: bytes) -> bool:
        """Whether `data` is one message and nothing else, as it mostly is."""
        length = len(data) - _PREFIX
        return 0 <= length <= self._most and not data[0] and _length(data, 0) == length

    def _check(self, flag: int, length: int) -> Status | None:
        if flag:
            return Status(grpc.StatusCode.UNIMPLEMENTED, "compressed messages are not taken")
        if length > self._most:
            return Status(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"message larger than max ({length} vs. {self._most})",
            )
        return None


def _length(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at + 1 : at + _PREFIX], "big")
