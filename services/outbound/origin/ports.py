"""Which ports a subrequest may reach."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OTHER_PROTOCOLS = """
    1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111
    113 115 117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540
    548 554 556 563 587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061
    6000 6566 6665 6666 6667 6668 6669 6679 6697 10080
"""
"""Mail, DNS, SSH and so on, some of which take a request for one of their own. Browsers refuse the
same ones: https://fetch.spec.whatwg.org/#port-blocking."""

_BAD = frozenset(map(int, _OTHER_PROTOCOLS.split()))

_TEXT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class PortRange:
    """Ports from the first to the last."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> PortRange:
        """Read `443` or `8000-8999`. Raises `ValueError` that names the entry."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a port or a range (like 443 or 8000-8999)")
        first = int(match[1])
        last = int(match[2] or first)
        if not 0 < first <= last < 65536:
            raise ValueError(f"{text!r}: ports go from 1 to 65535, the lower first")
        return cls(first, last)


def denial(ranges: tuple[PortRange, ...], port: int) -> str | None:
    """Why `port` may not be reached where `ranges` are named, or none; None where it may."""
    if ranges:
        named = any(entry.first <= port <= entry.last for entry in ranges)
        return None if named else f"at port {port}, which is not among the allowed"
    return f"at port {port}, which is another protocol's" if port in _BAD else None
