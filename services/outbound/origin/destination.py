"""Which addresses a subrequest may reach, decided for the very address that is connected.

A name says nothing about where a connection goes: it may resolve to anything, and to something else
a moment later. So names are never judged. `Guard.socket_factory` sees each address just before a
socket is connected to it, literals included, and there is no other way to a socket.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Set
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from aiohappyeyeballs.types import AddrInfoType

from services.outbound.origin import ports
from services.outbound.origin.ports import PortRange
from sluice.mesh.address_range import AddressRange

Address: TypeAlias = IPv4Address | IPv6Address

# `is_global` of `ipaddress` is not used: it lets multicast, NAT64 of private addresses, site-local
# addresses and Azure's platform address through, and its answer changes between Python versions.
# Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890).
_DENIED_V4 = [
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "an address of this network"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a shared (carrier-grade NAT) address"),
        ("127.0.0.0/8", "a loopback address"),
        ("168.63.129.16/32", "the platform address of Azure"),
        ("169.254.0.0/16", "a link-local (cloud metadata) address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "an IETF protocol address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.31.196.0/24", "an AS112 address"),
        ("192.52.193.0/24", "an AMT address"),
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("192.175.48.0/24", "an AS112 address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "a reserved address"),
    )
]

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is given out (RFC 4291 section 2.4). What is outside is denied unnamed."""

_DENIED_V6 = [
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/128", "the unspecified address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4-compatible address"),
        ("::ffff:0:0:0/96", "an IPv4-translated address"),
        ("64:ff9b:1::/48", "a local NAT64 address"),
        ("100::/64", "a discard address"),
        ("2001::/23", "an IETF protocol address"),
        ("2001:db8::/32", "a documentation address"),
        ("2620:4f:8000::/48", "an AS112 address"),
        ("3fff::/20", "a documentation address"),
        ("5f00::/16", "a segment routing address"),
        ("fc00::/7", "a unique local address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
]

_EMBEDDING: list[tuple[IPv6Network, str, Callable[[int], int]]] = [
    (IPv6Network("::ffff:0:0/96"), "IPv4-mapped form", lambda bits: bits),
    (IPv6Network("64:ff9b::/96"), "NAT64", lambda bits: bits),
    (IPv6Network("2001::/32"), "Teredo form", lambda bits: ~bits),
    (IPv6Network("2002::/16"), "6to4 form", lambda bits: bits >> 80),
]
"""IPv6 networks whose addresses stand for an IPv4 address, and where in the bits it is."""

_NOT_THIS_MACHINE = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Documentation addresses, which no machine has."""


def classify(address: Address) -> str | None:
    """Why `address` is not public ("a loopback address"), or None where it is."""
    if isinstance(address, IPv4Address):
        return next((reason for network, reason in _DENIED_V4 if address in network), None)
    if address.scope_id:
        return "an address with a scope"
    for network, form, extract in _EMBEDDING:
        if address in network:
            inner = IPv4Address(extract(int(address)) & 0xFFFFFFFF)
            return f"the {form} of {classify(inner) or 'a public address'}"
    for network, reason in _DENIED_V6:
        if address in network:
            return reason
    return None if address in _GLOBAL_UNICAST else "outside global unicast"


def is_own(address: Address) -> bool:
    """Whether this machine has `address`. Only then can a socket be bound to it.

    Where the machine binds to foreign addresses too (`net.ipv4.ip_nonlocal_bind`), nothing can be
    told, and no address counts as its own.
    """
    return _binds(address.version, str(address)) and not _binds(
        address.version, _NOT_THIS_MACHINE[address.version]
    )


def _binds(version: int, host: str) -> bool:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


class DeniedError(OSError):
    """The guard refused an address.

    It is an `OSError`, so that aiohttp goes on to the host's other addresses. Its text is always
    the same: where several attempts fail alike, `aiohappyeyeballs` raises the first error itself,
    and a summary of their texts otherwise.
    """

    def __init__(self, address: str, port: int, reason: str) -> None:
        super().__init__(errno.EACCES, "destination prohibited")
        self.address = address
        self.port = port
        self.reason = reason


class Guard:
    """Decides about each connection of the outbound service.

    The rules, in order: nothing reaches port 0, what the operator denies, or `own_ports` of this
    machine. A port that is not for HTTP is refused, unless an allowance names it. What an allowance
    covers is let through. What is not public is refused, and what is an address of this machine.
    `own_ports` is the caller's, who may add to it.
    """

    def __init__(
        self,
        allowed: tuple[AddressRange, ...] = (),
        own_ports: Set[int] = frozenset(),
        is_own: Callable[[Address], bool] = is_own,
        *,
        denied: tuple[AddressRange, ...] = (),
        allowed_ports: tuple[PortRange, ...] = (),
    ) -> None:
        self._allowed = allowed
        self._own_ports = own_ports
        self._is_own = is_own
        self._denied = denied
        self._allowed_ports = allowed_ports

    def denial(self, host: str, port: int) -> str | None:
        """Why `host`, an address in text, may not be reached at `port`; None where it may."""
        try:
            address = ip_address(host)
        except ValueError:
            return "not an address"
        if port == 0:
            return "at port 0"
        if any(denied.covers(address, port) for denied in self._denied):
            return "denied by the operator"
        if port in self._own_ports and self._is_own(address):
            return "a listener of this service"
        covering = [allowed for allowed in self._allowed if allowed.covers(address, port)]
        bad_port = ports.denial(self._allowed_ports, port)
        if bad_port and not any(allowed.port for allowed in covering):
            return bad_port
        if covering:
            return None
        reason = classify(address)
        if reason is None and self._is_own(address):
            return "an address of this machine"
        return reason

    def socket_factory(self, addr_info: AddrInfoType) -> socket.socket:
        """A socket for the very address that it will be connected to. Raises `DeniedError`."""
        family, kind, proto, _, (host, port, *_) = addr_info
        reason = self.denial(str(host), int(port))
        if reason is not None:
            raise DeniedError(str(host), int(port), reason)
        return socket.socket(family, kind, proto)
