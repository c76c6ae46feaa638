"""Fields: what we encode anybody decodes, and we decode what anybody encodes."""

from __future__ import annotations

import contextlib

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http2.failure import Code, ConnectionFailure
from sluice.http2.fields import NO_TABLE, Decoder, Fields, encode

MOST = 1 << 20
NAMES = st.sampled_from([b":path", b"content-type", b"te", b"x-a"]) | st.binary(max_size=200)
FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=8)


@given(FIELDS)
def test_round_trip(fields: Fields) -> None:
    """Our decoder reads what our encoder writes."""
    assert list(Decoder(MOST).decode(encode(fields))) == fields


@given(FIELDS)
def test_read_by_another(fields: Fields) -> None:
    """The hpack library reads it, with the update that says that there is no table."""
    read = hpack.Decoder().decode(NO_TABLE + encode(fields), raw=True)
    assert [(bytes(name), bytes(value)) for name, value in read] == fields


@given(st.lists(st.tuples(FIELDS, st.booleans()), max_size=5), FIELDS, st.booleans())
def test_written_by_another(
    before: list[tuple[Fields, bool]], after: Fields, huffman: bool
) -> None:
    """We read the hpack library: static and dynamic indices, Huffman, and a table given up."""
    encoder, decoder = hpack.Encoder(), Decoder(MOST)
    for fields, coded in before:
        for _ in range(2):  # the second time by indices
            assert list(decoder.decode(encoder.encode(fields, huffman=coded))) == fields
    encoder.header_table_size = 0
    assert list(decoder.decode(encoder.encode(after, huffman=huffman))) == after


@given(FIELDS, FIELDS)
def test_between_ours(ours: Fields, theirs: Fields) -> None:
    """A block that is read the short way changes nothing for those that need the table."""
    encoder, decoder = hpack.Encoder(), Decoder(MOST)
    for _ in range(2):
        assert list(decoder.decode(encoder.encode(theirs))) == theirs
        assert list(decoder.decode(encode(ours))) == ours


@given(st.binary(max_size=400))
def test_any_bytes(block: bytes) -> None:
    """Whatever comes is fields or a failure of the connection."""
    with contextlib.suppress(ConnectionFailure):
        fields = Decoder(MOST).decode(block)
        assert all(type(part) is bytes for field in fields for part in field)


def test_unlogged(caplog: pytest.LogCaptureFixture) -> None:
    """No field gets into a log, at no level: it may be a token."""
    with caplog.at_level("DEBUG"):
        Decoder(MOST).decode(hpack.Encoder().encode([(b"authorization", b"Bearer secret")]))
    assert not caplog.records


def test_shared() -> None:
    """What is remembered of a short block is nobody's to change."""
    block = encode([(b"a", b"b")])
    assert type(Decoder(MOST).decode(block)) is tuple


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 256, 16_510, 16_511, 60_000])
def test_lengths(size: int) -> None:
    """A length is right where one more byte begins to say it (RFC 7541 section 5.1)."""
    fields = [(b"a" * size, b"b" * size)]
    assert list(Decoder(MOST).decode(encode(fields))) == fields
    assert [
        tuple(field) for field in hpack.Decoder(MOST).decode(encode(fields), raw=True)
    ] == fields


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0 (section 6.1)
        b"\xff\xff\xff\xff\xff\xff\xff",  # an index without end
        b"\xbe",  # of a table that is empty
        b"\0\3ab",  # a name cut short
        b"\0\1a",  # no value
        b"\0\1a\5abc",
        b"\0\x81\x00\0",  # what is no Huffman code
        b"\0\1a\1b\x20",  # a change of the table behind a field (section 4.2)
        b"\x3f\xe1\xff\x03",  # a table larger than it may be
    ],
)
def test_wrong(block: bytes) -> None:
    """What is no block fails the connection, because what follows cannot be read either."""
    with pytest.raises(ConnectionFailure) as raised:
        Decoder(MOST).decode(block)
    assert raised.value.code is Code.COMPRESSION_ERROR


def test_bomb() -> None:
    """A small block of many large fields is refused: each index is a copy of 4 kB."""
    encoder = hpack.Encoder()
    first = encoder.encode([(b"a", b"b" * 4000)])
    decoder = Decoder(64 * 1024)
    decoder.decode(first)
    with pytest.raises(ConnectionFailure) as raised:
        decoder.decode(b"\xbe" * 1000)
    assert raised.value.code is Code.ENHANCE_YOUR_CALM
