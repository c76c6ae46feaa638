"""Hosts of URLs in one canonical form, and the patterns of egress policies over them.

The vocabulary is that of Cloudflare's containers: in a name `*` stands for any characters, dots
too; an address, or a network in CIDR notation, is for URLs with an address in place of a name.
Source: https://developers.cloudflare.com/containers/platform-details/outbound-traffic/
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

import idna

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

MAX_PATTERN = 255
"""Most characters of a pattern. A host name has at most 253 (RFC 1035 section 2.3.4)."""

_NAME = re.compile(r"[a-z0-9._*-]+")
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True, slots=True)
class Host:
    """A host such that all ways to write it are equal."""

    text: str
    """Lower case, without the root's dot. An address as it is usually written, no brackets."""
    address: Address | None

    @classmethod
    def parse(cls, written: str) -> Host:
        """The host of a URL, ASCII and without brackets: `Example.COM.`, `0x7f.1`, `::1`."""
        name = written.lower().rstrip(".")
        address = _address(name)
        return cls(name if address is None else str(address), address)


@dataclass(frozen=True, slots=True)
class Pattern:
    """Some hosts: `example.com`, `*.example.com`, `192.0.2.7`, `192.0.2.0/24`, `2001:db8::/32`."""

    written: str
    network: Network | None
    parts: tuple[str, ...]
    """Of a name: what is between the stars."""

    @classmethod
    def parse(cls, written: str) -> Pattern:
        """Read a pattern. Raises `ValueError` that says what is wrong with it."""
        if len(written) > MAX_PATTERN:
            raise ValueError(f"longer than {MAX_PATTERN} characters")
        network = _network(written)
        parts = () if network else tuple(_name(written).split("*"))
        return cls(written, network, parts)

    def matches(self, host: Host) -> bool:
        """Whether `host` is one of them. Linear in its length, however many stars there are."""
        if self.network is not None:
            return host.address is not None and host.address in self.network
        first, *others = self.parts
        if not others:
            return host.text == first
        *middle, last = others
        at, end = len(first), len(host.text) - len(last)
        if at > end or not (host.text.startswith(first) and host.text.endswith(last)):
            return False
        for part in middle:
            found = host.text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


def _address(text: str) -> Address | None:
    """The address that the system takes `text` for, if any: `127.1` and `0x7f000001` too."""
    if ":" in text:
        try:
            address = IPv6Address(text)
        except ValueError:
            return None
        return address.ipv4_mapped or address
    try:
        # What getaddrinfo asks as well (inet_aton(3)); `ipaddress` knows four decimals only.
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def _network(written: str) -> Network | None:
    """The network of a pattern that is an address or has a prefix length; None for a name."""
    bare = written[1:-1] if written.startswith("[") and written.endswith("]") else written
    if "/" not in bare:
        address = Host.parse(bare).address if bare.isascii() and "%" not in bare else None
        return None if address is None else ip_network(address)
    if "://" in bare:
        raise ValueError("a URL; expected a host")
    network = ip_network(bare)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("IPv4-mapped; write the IPv4 network")
    return network


def _name(written: str) -> str:
    """A pattern of names in canonical form. Raises `ValueError`."""
    try:
        mapped = idna.uts46_remap(written, std3_rules=False).rstrip(".")
        labels = (label if label.isascii() else _punycode(label) for label in mapped.split("."))
        name = ".".join(labels)
    except idna.IDNAError as error:
        raise ValueError(f"no host name: {error}") from error
    if ":" in name:
        raise ValueError("neither a host name, which has no port here, nor an address")
    if name.startswith("."):
        raise ValueError("begins with a dot; all hosts below a name are '*.' and the name")
    if not _NAME.fullmatch(name):
        raise ValueError("expected letters, digits, '-', '_', '.' and '*'")
    return name


def _punycode(label: str) -> str:
    if "*" in label:
        raise ValueError("'*' beside a letter that is not ASCII; write the name in punycode")
    return idna.alabel(label).decode("ascii")
