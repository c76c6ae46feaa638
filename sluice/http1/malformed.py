"""What the other end sent is not HTTP/1.1, or is over a limit."""

from __future__ import annotations


class MalformedError(Exception):
    """The peer's message cannot be read. `status` is what a server answers; `message` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
