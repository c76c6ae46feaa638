"""Entries of `--connect-to`: how they read, and which one counts."""

from __future__ import annotations

import pytest

from sluice.mesh.connect_to import ConnectTo, find


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("a.com:80:b.com:8080", ConnectTo("a.com", 80, "b.com", 8080)),
        ("A.Com:80:B.Com:8080", ConnectTo("a.com", 80, "b.com", 8080)),  # names have no case
        ("::b.com:8080", ConnectTo("", None, "b.com", 8080)),  # any host and port
        ("a.com:::", ConnectTo("a.com", None, "", None)),  # nothing changes, as in curl
        (":443::8443", ConnectTo("", 443, "", 8443)),  # the port only
        ("a.com:443:127.0.0.1:", ConnectTo("a.com", 443, "127.0.0.1", None)),
        ("[::1]:80:[fd00::2]:81", ConnectTo("::1", 80, "fd00::2", 81)),
        ("[2001:DB8::1]::b.com:", ConnectTo("2001:db8::1", None, "b.com", None)),
    ],
)
def test_entry_is_read(text: str, entry: ConnectTo) -> None:
    """An entry has curl's four parts, each of which may be empty."""
    assert ConnectTo.parse(text) == entry


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.com",
        "a.com:80:b.com",  # one part too few
        "a.com:80:b.com:81:82",
        "::1:80:b.com:81",  # IPv6 without brackets
        "[::1:80:b.com:81",
        "a.com:http:b.com:81",
        "a.com:80:b.com:0",
        "a.com:65536:b.com:81",
        "a.com:-1:b.com:81",
        "a.com:80:b com:81",
        "[a.com]:80:b.com:81",
        "a.com:80:b.com:81,c.com:80:d.com:81",  # one entry each
        "a.com:80:b,c:81",
    ],
)
def test_bad_entry_is_named(text: str) -> None:
    """An entry that cannot be read is an error with the entry in it."""
    with pytest.raises(ValueError, match=r"is (not of the form|no port)") as caught:
        ConnectTo.parse(text)
    assert repr(text) in str(caught.value)


ENTRIES = tuple(
    map(ConnectTo.parse, ("a.com:80:first:", "a.com::second:", ":81:third:", "[::1]::fourth:"))
)


@pytest.mark.parametrize(
    ("host", "port", "to_host"),
    [
        ("a.com", 80, "first"),
        ("A.COM", 80, "first"),
        ("a.com", 81, "second"),  # the third would match too
        ("b.com", 81, "third"),
        ("b.com", 80, None),
        ("a.com.", 80, None),  # names are compared as they are written
        ("::1", 80, "fourth"),
        ("0:0:0:0:0:0:0:1", 80, None),
    ],
)
def test_first_match_counts(host: str, port: int, to_host: str | None) -> None:
    """Of several entries that match, the first counts; an empty part matches anything."""
    entry = find(ENTRIES, host, port)
    assert (entry and entry.to_host) == to_host
