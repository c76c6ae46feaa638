"""Ranges of addresses: what one covers, and how it reads."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from sluice.mesh.address_range import AddressRange


@pytest.mark.parametrize(
    ("text", "covered", "not_covered"),
    [
        ("127.0.0.1:8080", [("127.0.0.1", 8080)], [("127.0.0.1", 8081), ("127.0.0.2", 8080)]),
        ("127.0.0.1", [("127.0.0.1", 1), ("127.0.0.1", 65535)], [("127.0.0.2", 1)]),
        ("10.0.0.0/8", [("10.9.9.9", 80)], [("11.0.0.0", 80), ("::ffff:10.0.0.1", 80)]),
        ("10.0.0.0/8:443", [("10.9.9.9", 443)], [("10.9.9.9", 80)]),
        ("::1", [("::1", 80)], [("::2", 80), ("0.0.0.1", 80)]),
        ("fd00::/8", [("fd12::1", 80)], [("fe00::1", 80)]),
        ("[::1]:8080", [("::1", 8080)], [("::1", 80)]),
        ("[fd00::/8]:443", [("fd12::1", 443)], [("fd12::1", 80)]),
        ("[fd00::/8]", [("fd12::1", 80)], [("fe00::1", 80)]),
    ],
)
def test_range_covers_what_it_says(
    text: str, covered: list[tuple[str, int]], not_covered: list[tuple[str, int]]
) -> None:
    """A range is its network and its port, and nothing beside them."""
    found = AddressRange.parse(text)
    assert all(found.covers(ip_address(host), port) for host, port in covered)
    assert not any(found.covers(ip_address(host), port) for host, port in not_covered)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",  # a name may resolve to anything
        "localhost:8080",
        "10.0.0.1/8",  # bits beyond the mask: what is meant is not clear
        "10.0.0.0/33",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:http",
        "127.0.0.1:",
        "127.0.0.1:80:90",
        "[::1]8080",
        "[]:80",
        "*",
    ],
)
def test_bad_range_is_named(text: str) -> None:
    """An entry that cannot be read is an error with the entry in it."""
    with pytest.raises(ValueError, match=r"is |: ") as caught:
        AddressRange.parse(text)
    assert repr(text) in str(caught.value)
