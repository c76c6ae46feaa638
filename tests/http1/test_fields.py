"""Header lines, sorted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http1.fields import Line, check_size, sort
from sluice.http1.malformed import MalformedError
from sluice.wire import headers as header_list

NAMES = st.sampled_from(
    [
        *header_list.FRAMING,
        *header_list.HOP_BY_HOP,
        "x-a",
        "cookie",
        "set-cookie",
        "x-sluice-a",
        "Accept",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=8).map(lambda value: value.strip(b" \t")),
    st.sampled_from([b"x-a", b"Close, X-A", b"cookie,,", b"keep-alive", b"upgrade, set-cookie"]),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12, unique_by=lambda line: line[0]))
def test_what_is_carried_is_what_the_wire_package_says(lines: list[tuple[str, bytes]]) -> None:
    """The one pass here drops exactly what `headers.carried` drops."""
    fields = sort([(name.encode(), value) for name, value in lines])
    assert fields.headers == header_list.carried([(name.lower(), v) for name, v in lines])


def test_control_headers_are_taken_out() -> None:
    """They are text by name, whatever their case; the rest keep order, repeats and bytes."""
    fields = sort([(b"A", b"\xe9 "), (b"X-Sluice-T", b"\xe9"), (b"a", b"2"), (b"Expect", b"x")])
    assert fields.headers == [("a", b"\xe9"), ("a", b"2")]
    assert fields.control == {"x-sluice-t": "\xe9"}
    assert fields.own == {"expect": [b"x"]}


BAD: list[tuple[str, list[Line], int]] = [
    ("two tokens: which is it?", [(b"x-sluice-t", b"a"), (b"X-Sluice-T", b"b")], 400),
    ("a name longer than any", [(b"x" * 257, b"")], 431),
]


@pytest.mark.parametrize(("lines", "status"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_lines(lines: list[Line], status: int) -> None:
    """They are refused, with the status that says why."""
    with pytest.raises(MalformedError) as raised:
        sort(lines)
    assert raised.value.status == status


def test_size() -> None:
    """A head counts as it is on the wire, less the words that every start line has."""
    check_size(5, [(b"a", b"bc"), (b"d", b"")], 5 + 7 + 5)
    with pytest.raises(MalformedError) as raised:
        check_size(5, [(b"a", b"bc"), (b"d", b"")], 5 + 7 + 4)
    assert raised.value.status == 431


BAD_FRAMING: list[tuple[str, list[Line]]] = [
    ("both", [(b"content-length", b"0"), (b"transfer-encoding", b"chunked")]),
    ("two codings", [(b"transfer-encoding", b"gzip, chunked")]),
    ("two lines", [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")]),
    ("another coding", [(b"transfer-encoding", b"identity")]),
    ("two lengths", [(b"content-length", b"1"), (b"content-length", b"1")]),
    ("a list", [(b"content-length", b"1, 1")]),
    ("a sign", [(b"content-length", b"+1")]),
    ("no number", [(b"content-length", b"")]),
    ("more than anybody has", [(b"content-length", b"9" * 19)]),
]


@pytest.mark.parametrize("lines", [row[1] for row in BAD_FRAMING], ids=[r[0] for r in BAD_FRAMING])
def test_bad_framing(lines: list[Line]) -> None:
    """A body whose length could be read in two ways has none."""
    with pytest.raises(MalformedError):
        sort(lines).body_length()


def test_framing() -> None:
    """A length, chunks, or neither."""
    assert sort([(b"Content-Length", b"12 ")]).body_length() == (12, False)
    assert sort([(b"Transfer-Encoding", b"Chunked")]).body_length() == (None, True)
    assert sort([]).body_length() == (None, False)
