"""Blocks of fields in frames: cut at any length, whole again, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http2 import frames
from sluice.http2.block import Block, in_frames
from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.limits import Limits


@given(st.binary(), st.integers(1, 50), st.booleans())
def test_in_frames(block: bytes, most: int, end: bool) -> None:
    """HEADERS and CONTINUATIONs are at most so long, and the last one alone ends the block."""
    data, limits = in_frames(7, block, most, end=end), Limits(continuations=10_000)
    whole, at, kinds, ends = Block(7, ended=end), 0, [], []
    while at < len(data):
        high, low, kind, flags, stream = frames.HEAD.unpack_from(data, at)
        at += frames.HEAD_SIZE
        length = high << 8 | low
        assert length <= most
        assert stream == 7
        assert bool(flags & frames.END_STREAM) is (end and kind == frames.HEADERS)
        whole.add(data[at : at + length], limits)
        at += length
        kinds.append(kind)
        ends.append(bool(flags & frames.END_HEADERS))
    assert whole.whole() == block
    assert kinds == [frames.HEADERS] + [frames.CONTINUATION] * (len(kinds) - 1)
    assert ends == [False] * (len(ends) - 1) + [True]


@pytest.mark.parametrize(
    ("parts", "size"),
    [
        (1, 101),  # too much at once
        (5, 21),  # too much in parts
        (11, 0),  # empty CONTINUATIONs without end (CVE-2024-27316)
    ],
)
def test_limits(parts: int, size: int) -> None:
    """A block of too many bytes, or in too many frames, is refused at the first that is."""
    block, limits = Block(1, ended=False), Limits(fields=100, continuations=10)
    for _ in range(parts - 1):
        block.add(bytes(size), limits)
    with pytest.raises(ConnectionFailure) as raised:
        block.add(bytes(size), limits)
    assert raised.value.code is Code.ENHANCE_YOUR_CALM
