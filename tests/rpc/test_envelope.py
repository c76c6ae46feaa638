"""Messages are the same wherever their bytes are cut, and bounded before they are here."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.rpc.envelope import Inbox, envelope

MESSAGES = st.lists(st.binary(max_size=60), max_size=10)


@given(MESSAGES, st.lists(st.integers(0, 600)))
def test_cut_anywhere(messages: list[bytes], cuts: list[int]) -> None:
    """Any cuts of the bytes give the same messages, each as soon as it is whole."""
    data = b"".join(map(envelope, messages))
    ends, end = [], 0
    for message in messages:
        end += len(envelope(message))
        ends.append(end)
    inbox, at = Inbox(60), 0
    for cut in [*sorted(cut for cut in cuts if cut <= len(data)), len(data)]:
        assert inbox.feed(data[at:cut]) is None
        at = cut
        whole = sum(end <= at for end in ends)
        assert list(inbox.messages) == messages[:whole]
        assert inbox.clean is (at in {0, *ends})
    assert all(type(message) is bytes for message in inbox.messages)


@pytest.mark.parametrize("cut", range(12))
@pytest.mark.parametrize("before", [b"", envelope(b"ok")], ids=["first", "second"])
@pytest.mark.parametrize(
    ("wrong", "code", "details"),
    [
        (b"\0\0\0\0\x0b" + bytes(11), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max (11 vs. 10)"),
        (b"\0\xff\xff\xff\xff123456", grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
        (b"\1\0\0\0\1abcdefg", grpc.StatusCode.UNIMPLEMENTED, "compressed"),
        (b"\x7f\0\0\0\1abcdefg", grpc.StatusCode.UNIMPLEMENTED, "compressed"),  # no flag of any kind
    ],
)  # fmt: skip
def test_wrong(cut: int, before: bytes, wrong: bytes, code: grpc.StatusCode, details: str) -> None:
    """What is wrong is known by the five bytes before a message, cut or not; what was whole stays."""
    inbox = Inbox(10)
    data = before + wrong
    status = inbox.feed(data[:cut]) or inbox.feed(data[cut:])
    assert status is not None
    assert status.code is code
    assert details in status.details
    assert list(inbox.messages) == ([b"ok"] if before else [])


@pytest.mark.parametrize("size", [0, 1, 10])
def test_as_large_as_may_be(size: int) -> None:
    """A message of exactly the limit is taken, whole or in two."""
    for cut in range(size + 5):
        inbox, data = Inbox(10), envelope(bytes(size))
        assert inbox.feed(data[:cut]) is None
        assert inbox.feed(data[cut:]) is None
        assert list(inbox.messages) == [bytes(size)]
