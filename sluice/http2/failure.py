"""What can be wrong with a connection or a stream, by the codes of RFC 9113 section 7."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """An error code."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFailure(Exception):  # noqa: N818  # it is what happened to the connection
    """The connection cannot go on, and all of its streams end with it."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class StreamEndedError(Exception):
    """The stream takes no more. Whoever reads it learns why."""


def code_of(number: int) -> Code:
    """The code of a number on the wire; that of one which nobody knows is INTERNAL_ERROR."""
    return Code(number) if number in _NUMBERS else Code.INTERNAL_ERROR


_NUMBERS = frozenset(Code)
