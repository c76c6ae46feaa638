"""What the other end sent is not HTTP/1.1, or is over a limit."""

from __future__ import annotations

import httptools


class MalformedError(Exception):
    """The peer's message cannot be read. `status` is what a server answers; `message` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def read_error(error: Exception, status: int) -> Exception:
    """What to raise for an error of the parser: what a callback of ours raised, or `status`."""
    if isinstance(error, httptools.HttpParserCallbackError):
        return error.__context__ if isinstance(error.__context__, Exception) else error
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return MalformedError(501, "the method is not known")  # RFC 9110 section 9.1
    return MalformedError(status, str(error))
