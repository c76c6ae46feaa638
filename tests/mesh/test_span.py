"""W3C Trace Context, read strictly."""

from __future__ import annotations

import pytest

from sluice.mesh.span import RemoteParent, Span, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # flags of later levels are ignored
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"cc-{TRACE}-{SPAN}-01", True),  # a later version is read as far as this one goes
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", True),
    ],
)
def test_a_traceparent_is_read(value: str, sampled: bool) -> None:
    """What W3C allows gives the ids and whether the caller records."""
    assert parse_traceparent(value) == RemoteParent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "00",
        f"00-{TRACE}-{SPAN}",  # no flags
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",  # not in version 00
        f"00-{TRACE}-{SPAN}-01 ",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",  # the version that is never used
        f"cc-{TRACE}-{SPAN}-01x",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",  # all zeros is no id
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE[:-1]}\u0663-{SPAN}-01",  # a digit, to some
    ],
)
def test_a_bad_traceparent_is_none(value: str | None) -> None:
    """Anything else is as if it were not there, and raises nothing."""
    assert parse_traceparent(value) is None


def test_what_is_said_is_what_is_read() -> None:
    """The `traceparent` of a span names it, as not sampled, since nobody records it."""
    assert parse_traceparent(Span(TRACE, SPAN).traceparent()) == RemoteParent(TRACE, SPAN, False)
