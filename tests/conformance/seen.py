"""What was seen of a case by everybody, in a form that two chains can be compared in.

Only what HTTP leaves to each hop is evened out, and only here:

- `date` and `connection` are each connection's own (RFC 9110 sections 6.6.1 and 7.6.1).
- `x-sluice-hops` is the mesh's hop counter, which plain workerd does not have.
- `host`, as the Outbound Worker sees it: in the mesh it is that of the URL, in plain workerd it is
  whatever the user Worker's request had, or missing. A case of its own asserts that.
- The order of headers with different names means nothing (RFC 9110 section 5.3). That of headers
  with one name does, and is compared.
- Chunked or not is each connection's own; so is whether a length is told that is not known. But a
  length that plain workerd tells must be told by the mesh, and be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.conformance.chain import Chain
from tests.conformance.messages import Headers, Message
from tests.conformance.origin import Origin

_PER_HOP = {"date", "connection", "x-sluice-hops", "transfer-encoding", "content-length"}


def headers(pairs: Headers | Sequence[Sequence[str]]) -> list[tuple[str, Any]]:
    """Headers by name, with the order of those with one name."""
    kept = [(name, value) for name, value in pairs if name not in _PER_HOP]
    return sorted(kept, key=lambda pair: pair[0])


def message(message: Message) -> dict[str, Any]:
    """One message as it was received."""
    length = message.value("content-length") if message.framing == "length" else None
    return {
        "start": message.start,
        "headers": headers(message.headers),
        "body": message.body,
        "ended": message.ended,
        "interim": message.interim,
        "length": length,
    }


def report(said: dict[str, Any]) -> dict[str, Any]:
    """What a Worker reported."""
    if "headers" not in said:
        return said
    kept = [(name, value) for name, value in said["headers"] if name != "host"]
    return said | {"headers": headers(kept)}


def everything(chain: Chain, response: Message, origin: Origin) -> dict[str, Any]:
    """What the client, the origin and the Workers saw."""
    own = f"127.0.0.1:{chain.port}"
    assert own not in repr(response), "a chain's own port cannot be compared"
    return {
        "client": message(response),
        "origin": [message(request) for request in origin.requests],
        "workers": [report(said) for said in origin.reports],
    }


def level(plain: dict[str, Any], mesh: dict[str, Any]) -> None:
    """Take out lengths that only the mesh tells: it may know more."""
    pairs = [(plain["client"], mesh["client"])]
    pairs += zip(plain["origin"], mesh["origin"], strict=False)
    for here, there in pairs:
        if here["length"] is None:
            there["length"] = None
