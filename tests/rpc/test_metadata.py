"""Metadata is said and read again; what gRPC and HTTP say is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.rpc.metadata import Metadata, timeout, to_fields, to_metadata

NAMES = st.from_regex(r"x-[a-z0-9_.-]{1,20}", fullmatch=True).filter(
    lambda name: not name.endswith("-bin")
)
TEXTS = st.tuples(NAMES, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
BYTES = st.tuples(NAMES.map(lambda name: name + "-bin"), st.binary())


@given(st.lists(TEXTS | BYTES).map(tuple))
def test_round_trip(metadata: Metadata) -> None:
    """What is said is read, in order, the same name as often as it was said."""
    assert to_metadata(to_fields(metadata)) == metadata


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"YWI", b"ab"),  # without padding, as it should be
        (b"YWI=", b"ab"),  # and with it, as it has to be taken
        (b"", b""),
        (b"!", b""),  # no base64 at all
        (b"a", b""),  # no length that base64 has
    ],
)
def test_bin(value: bytes, expected: bytes) -> None:
    """Base64 comes with and without padding; what is none is empty, and no error of the call's."""
    assert to_metadata([(b"a-bin", value)]) == (("a-bin", expected),)


@given(st.binary())
def test_any_bytes(value: bytes) -> None:
    """Whatever a peer says is some metadata."""
    (text, data) = to_metadata([(b"a", value), (b"a-bin", value)])
    assert isinstance(text[1], str)
    assert isinstance(data[1], bytes)


def test_not_metadata() -> None:
    """What gRPC and HTTP say by fields is not the application's, but for the details of a status."""
    fields = [
        (b":path", b"/a/b"),
        (b"grpc-timeout", b"1S"),
        (b"grpc-status", b"0"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", b"grpc-c"),
        (b"grpc-status-details-bin", b"YQ"),
        (b"x", b"y"),
    ]
    assert to_metadata(fields) == (("grpc-status-details-bin", b"a"), ("x", "y"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"10S", 10),
        (b"2H", 7200),
        (b"3M", 180),
        (b"250m", 0.25),
        (b"250u", 0.00025),
        (b"99999999n", 0.099999999),  # the most digits
        (b"0S", 0),
        (b"00000001S", 1),
        (b"999999999S", None),  # a digit too many
        (b"S", None),
        (b"1", None),
        (b"1s", None),  # no unit
        (b"-1S", None),
        (b"1.5S", None),
        (b" 1S", None),
        (b"1S\n", None),
        (b"1SS", None),
        ("\u0661S".encode(), None),  # a digit, but no ASCII
        (b"", None),
    ],
)
def test_timeout(value: bytes, seconds: float | None) -> None:
    """`grpc-timeout` is at most eight digits and a unit."""
    assert timeout(value) == (None if seconds is None else pytest.approx(seconds))
