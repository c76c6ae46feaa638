"""`CIDR[:port]`: addresses as an operator names them, to let them through or to refuse them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

_TEXT = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class AddressRange:
    """A network, and one port of it or all."""

    network: IPv4Network | IPv6Network
    port: int | None = None
    """The one port, or None for every port."""

    @classmethod
    def parse(cls, text: str) -> AddressRange:
        """Read `CIDR[:port]`: `10.0.0.0/8`, `127.0.0.1:8080`, `fd00::/8`, `[::1]:8080`.

        IPv6 is in brackets where a port follows. Raises `ValueError` that names the entry.
        """
        bare_v6 = "[" not in text and text.count(":") > 1
        match = _TEXT.fullmatch(f"[{text}]" if bare_v6 else text)
        if match is None:
            raise ValueError(f"{text!r} is not of the form CIDR[:port]")
        v6, v4, port = match.groups()
        if port is not None and not 0 < int(port) < 65536:
            raise ValueError(f"{text!r}: {port} is no port")
        try:
            return cls(ip_network(v6 or v4), int(port) if port else None)
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from error

    def covers(self, address: IPv4Address | IPv6Address, port: int) -> bool:
        """Whether `address` and `port` are among them."""
        return address in self.network and self.port in (None, port)
