"""Frames: what is packed is unpacked, and padding is never content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http2 import frames
from sluice.http2.failure import Code, ConnectionFailure, code_of

WORDS = st.integers(0, 2**32 - 1)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, frames.MAX_NUMBER), st.binary())
def test_frame(kind: int, flags: int, stream: int, payload: bytes) -> None:
    """The head says what the frame is, and how long."""
    data = frames.frame(kind, flags, stream, payload)
    high, low, *rest = frames.HEAD.unpack_from(data)
    assert (high << 8 | low, *rest) == (len(payload), kind, flags, stream)
    assert data[frames.HEAD_SIZE :] == payload


@pytest.mark.parametrize("size", [0, 255, 256, 65_535, 65_536, 2**24 - 1])
def test_length(size: int) -> None:
    """A length has 24 bits."""
    assert frames.frame(frames.DATA, 0, 1, bytes(size))[:3] == size.to_bytes(3, "big")


@given(st.dictionaries(st.integers(0, 65_535), WORDS))
def test_settings(values: dict[int, int]) -> None:
    """Settings that were written are read."""
    data = frames.settings(values)
    assert frames.read_settings(data[frames.HEAD_SIZE :]) == values


@given(WORDS, st.binary(max_size=20))
def test_word(value: int, more: bytes) -> None:
    """A number that was written is read, whatever follows it."""
    assert frames.read_word(frames.word(value) + more) == value


@given(st.binary(), st.none() | st.integers(0, 255), st.none() | st.binary(min_size=5, max_size=5))
def test_unpadded(data: bytes, padding: int | None, priority: bytes | None) -> None:
    """Padding and priority are taken off."""
    flags, payload = 0, data
    if priority is not None:
        flags, payload = frames.HAS_PRIORITY, priority + payload
    if padding is not None:
        flags, payload = flags | frames.PADDED, bytes([padding]) + payload + bytes(padding)
    assert frames.unpadded(flags, payload) == data


@pytest.mark.parametrize(
    ("flags", "payload"),
    [
        (frames.PADDED, b""),  # no length of its padding
        (frames.PADDED, b"\1"),  # as long as the frame (section 6.1)
        (frames.PADDED, b"\5abcd"),
        (frames.HAS_PRIORITY, b"abcd"),  # priority is five bytes
        (frames.PADDED | frames.HAS_PRIORITY, b"\1abcde"),  # padding would be of the priority
    ],
)
def test_padded_too_far(flags: int, payload: bytes) -> None:
    """What is no frame is refused."""
    with pytest.raises(ConnectionFailure, match="padd"):
        frames.unpadded(flags, payload)


@given(WORDS)
def test_code(number: int) -> None:
    """A code that nobody knows is an internal error (section 7)."""
    known = number in set(Code)
    assert code_of(number) is (Code(number) if known else Code.INTERNAL_ERROR)
