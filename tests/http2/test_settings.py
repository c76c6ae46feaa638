"""Settings: ours are what we hold to, and theirs are within what the RFC allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http2 import frames
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.limits import Limits
from sluice.http2.settings import DEFAULT_WINDOW, PeerSettings, own


@pytest.mark.parametrize("client", [True, False])
def test_own(client: bool) -> None:
    """We say our limits, no push of a server, and the window of the connection."""
    limits = Limits()
    data = own(limits, client=client)
    size = int.from_bytes(data[:3], "big")
    settings = frames.read_settings(data[9 : 9 + size])
    expected = {3: limits.streams, 4: limits.stream_window, 5: limits.frame, 6: limits.fields}
    assert settings == expected | ({2: 0} if client else {})
    update = data[9 + size :]
    assert frames.HEAD.unpack_from(update)[2:] == (frames.WINDOW_UPDATE, 0, 0)
    assert frames.read_word(update[9:]) + DEFAULT_WINDOW == limits.connection_window


@given(
    st.dictionaries(st.integers(7, 65_535), st.integers(0, 2**32 - 1)),
    st.integers(0, frames.MAX_NUMBER),
    st.integers(16_384, 2**24 - 1),
    st.integers(0, 2**32 - 1),
)
def test_updated(others: dict[int, int], window: int, frame: int, streams: int) -> None:
    """What is said is taken, what is not said stays, and what nobody knows says nothing."""
    data = frames.settings(others | {4: window, 5: frame})[9:]
    first = PeerSettings().updated(data)
    assert (first.window, first.frame, first.streams) == (window, frame, PeerSettings().streams)
    second = first.updated(frames.settings({3: streams})[9:])
    assert second == PeerSettings(window, frame, streams)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"12345", Code.FRAME_SIZE_ERROR),  # six bytes each (section 6.5)
        (frames.settings({4: 2**31})[9:], Code.FLOW_CONTROL_ERROR),  # section 6.5.2
        (frames.settings({5: 16_383})[9:], Code.PROTOCOL_ERROR),
        (frames.settings({5: 2**24})[9:], Code.PROTOCOL_ERROR),
    ],
)
def test_wrong(payload: bytes, code: Code) -> None:
    """What the RFC forbids fails the connection, by the code that it names."""
    with pytest.raises(ConnectionFailure) as raised:
        PeerSettings().updated(payload)
    assert raised.value.code is code
