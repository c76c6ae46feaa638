"""The headers between the host and this process. Their far side is `sluice.isolate.control`."""

from __future__ import annotations

import json
from typing import Any

PREFIX = "x-sluice-"
"""What a Worker neither sees nor sends starts with this."""

TOKEN = "x-sluice-token"  # noqa: S105 — the name of a header
CALL = "x-sluice-call"
ENV = "x-sluice-env"
GET = "x-sluice-get"
ERROR = "x-sluice-error"

MAX_MESSAGE = 2048
"""Most characters of a message that is told."""


def encode(value: Any) -> str:
    """JSON that a header can carry: ASCII, on one line."""
    return json.dumps(value, separators=(",", ":"))


def decode(header: str | None) -> dict[str, Any]:
    """The object in a control header; an empty one where it is absent."""
    value: dict[str, Any] = json.loads(header) if header else {}
    return value


def is_control(name: str) -> bool:
    """Whether a header is between the host and this process only."""
    return name.lower().startswith(PREFIX)
