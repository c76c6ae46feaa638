"""Asks the origin, and tries what is its service's."""

import _socket
from collections.abc import Callable
from pathlib import Path

from workers import Request, Response, WorkerEntrypoint, fetch

ATTEMPTS: dict[str, Callable[[], object]] = {
    "the service's key": lambda: Path("/certs/userworker/key.pem").read_bytes(),
    "the service's environment": lambda: Path("/proc/1/environ").read_bytes(),
    "others' folders": lambda: list(Path("/run/sluice").iterdir()),
    "a file": lambda: Path("file").write_bytes(b""),
    "a socket": lambda: _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM),
}


class Default(WorkerEntrypoint):
    """A customer."""

    async def fetch(self, request: Request) -> Response:
        """Answer which attempts succeeded, or what the origin says."""
        if request.url.endswith("/attempts"):
            return Response.from_json({name: _succeeds(each) for name, each in ATTEMPTS.items()})
        return await fetch("http://origin:8000/from-shop", headers={"x-customer": "someone else"})


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True
