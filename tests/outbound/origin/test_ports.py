"""Ports: how ranges read, and which ports are for HTTP."""

from __future__ import annotations

import pytest

from services.outbound.origin.ports import PortRange, denial


@pytest.mark.parametrize(
    ("text", "first", "last"), [("443", 443, 443), ("8000-8999", 8000, 8999), ("1-65535", 1, 65535)]
)
def test_range_is_read(text: str, first: int, last: int) -> None:
    """A range is one port, or two with a hyphen."""
    assert PortRange.parse(text) == PortRange(first, last)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http",
        "0",
        "65536",
        "8999-8000",
        "80-",
        "-80",
        "1-2-3",
        "80 443",
        "0-80",
        "+80",
        "123456",
    ],
)
def test_bad_range_is_named(text: str) -> None:
    """An entry that cannot be read is an error with the entry in it."""
    with pytest.raises(ValueError, match=r"is not a port|ports go from") as caught:
        PortRange.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("port", [80, 443, 3000, 5000, 8000, 8080, 8443, 9000, 32768, 65535])
def test_ports_of_http(port: int) -> None:
    """Ports that HTTP servers use, and all that nobody else claims, may be reached."""
    assert denial((), port) is None


@pytest.mark.parametrize("port", [21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 993, 6000, 6667])
def test_ports_of_other_protocols(port: int) -> None:
    """A port that browsers refuse is refused."""
    assert denial((), port) == f"at port {port}, which is another protocol's"
