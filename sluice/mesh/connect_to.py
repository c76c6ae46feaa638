"""curl's `--connect-to`: the socket goes elsewhere; the URL, Host and TLS name stay.

Source: https://curl.se/docs/manpage.html#--connect-to
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HOST = r"\[[0-9A-Fa-f:.]+\]|[^:\[\]\s,]*"
_TEXT = re.compile(rf"({_HOST}):([0-9]{{0,5}}):({_HOST}):([0-9]{{0,5}})")


@dataclass(frozen=True, slots=True)
class ConnectTo:
    """One entry. Hosts are lowercase, IPv6 without brackets."""

    host: str
    """The URL's host as it is written there, or empty for any."""
    port: int | None
    """The URL's port, or None for any."""
    to_host: str
    """The name or address to connect to, or empty for the URL's own."""
    to_port: int | None
    """The port to connect to, or None for the URL's own."""

    @classmethod
    def parse(cls, text: str) -> ConnectTo:
        """Read `HOST1:PORT1:HOST2:PORT2`, any part of which may be empty, IPv6 in brackets.

        Raises `ValueError` that names the entry.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not of the form HOST1:PORT1:HOST2:PORT2")
        host, port, to_host, to_port = match.groups()
        return cls(_host(host), _port(port, text), _host(to_host), _port(to_port, text))

    def matches(self, host: str, port: int) -> bool:
        """Whether a request to `host` and `port` is for this entry. Names are not resolved."""
        return self.host in ("", host.lower()) and self.port in (None, port)


def find(entries: tuple[ConnectTo, ...], host: str, port: int) -> ConnectTo | None:
    """The first entry that matches, as in curl."""
    return next((entry for entry in entries if entry.matches(host, port)), None)


def _host(text: str) -> str:
    return text.strip("[]").lower()


def _port(text: str, entry: str) -> int | None:
    if not text:
        return None
    if not 0 < int(text) < 65536:
        raise ValueError(f"{entry!r}: {text} is no port")
    return int(text)
