"""One case: what the client sends, what the origin answers, and why that matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.conformance.origin import OK, Answer


@dataclass(frozen=True)
class Difference:
    """A difference of the mesh that `docs/compatibility.md` lists."""

    listed: str
    """How its row in the document begins."""
    check: Callable[[dict[str, Any], dict[str, Any]], None]
    """Asserts it, given what was seen in plain workerd and in the mesh. May make them equal."""


@dataclass(frozen=True)
class Case:
    """The handler `worker` of `workers/user*.js` gets one request.

    `{ORIGIN}` and `{OTHER}` stand for the two origins in everything that is sent.
    """

    id: str
    why: str
    worker: str = "pass"
    method: str = "GET"
    target: str = "/"
    headers: tuple[str | bytes, ...] = ()
    body: bytes | None = None
    """Sent with a content-length, unless `headers` frame it."""
    answers: tuple[Answer, ...] = (OK,)
    uncaught: bool = False
    """The dispatch Worker does not catch what the user Worker throws."""
    differs: Difference | None = None

    def raw(self, variables: dict[str, str]) -> bytes:
        """The bytes that the client sends."""
        mode = "uncaught" if self.uncaught else "caught"
        lines = [
            f"{self.method} {self.target} HTTP/1.1".encode("latin-1"),
            f"host: {self.worker.replace('_', '-')}.{mode}.test".encode(),
            b"connection: close",
            *(line if isinstance(line, bytes) else line.encode() for line in self.headers),
        ]
        if self.body is not None and not any(b"transfer-encoding" in line for line in lines):
            lines.append(b"content-length: %d" % len(self.body))
        return filled(b"\r\n".join(lines) + b"\r\n\r\n", variables) + (self.body or b"")


def filled(data: bytes, variables: dict[str, str]) -> bytes:
    """`data` with the origins' URLs in place of their names."""
    for name, value in variables.items():
        data = data.replace(b"{%b}" % name.encode(), value.encode())
    return data
