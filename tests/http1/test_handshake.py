"""The opening handshake of a WebSocket."""

from __future__ import annotations

import pytest

from sluice.http1 import handshake

KEY = handshake.new_key()
OPENS = {
    "connection": [b"Upgrade"],
    "upgrade": [b"WebSocket"],
    "sec-websocket-accept": [handshake.accept_of(KEY)],
}


@pytest.mark.parametrize("connection", [[b"upgrade"], [b"keep-alive, Upgrade"], [b"x", b"Upgrade"]])
def test_is_accepted(connection: list[bytes]) -> None:
    """A 101 opens the WebSocket, however it says `Connection: Upgrade`."""
    assert handshake.is_accepted(KEY, {**OPENS, "connection": connection})


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("another protocol", {"upgrade": [b"h2c"]}),
        ("two protocols", {"upgrade": [b"websocket", b"websocket"]}),
        ("no upgrade", {"upgrade": []}),
        ("no proof", {"sec-websocket-accept": []}),
        ("the proof of another key", {"sec-websocket-accept": [b"x"]}),
        ("an extension that nobody offered", {"sec-websocket-extensions": [b"x"]}),
        ("the upgrade is not of this connection, found by fuzzing", {"connection": []}),
        ("the same", {"connection": [b"Upgqade"]}),
    ],
)
def test_is_not_accepted(why: str, said: dict[str, list[bytes]]) -> None:
    """What RFC 6455 section 4.1 has the client fail for, it fails for."""
    assert not handshake.is_accepted(KEY, {**OPENS, **said})
