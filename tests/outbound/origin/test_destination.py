"""The guard: which addresses are public, what an allowance covers, and the order of the rules."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from services.outbound.origin.destination import (
    Address,
    DeniedError,
    Guard,
    classify,
    is_own,
)
from services.outbound.origin.ports import PortRange
from sluice.mesh.address_range import AddressRange

DENIED = [
    # IPv4: loopback, this network, private
    ("127.0.0.1", "loopback"),
    ("127.255.255.255", "loopback"),  # last of 127/8
    ("0.0.0.0", "this network"),  # connects to this machine on Linux
    ("0.1.2.3", "this network"),
    ("10.0.0.1", "private"),
    ("10.255.255.255", "private"),  # last of 10/8
    ("172.16.0.1", "private"),
    ("172.31.255.255", "private"),  # last of 172.16/12
    ("192.168.0.1", "private"),
    ("192.168.255.255", "private"),
    ("100.64.0.1", "shared"),  # carrier-grade NAT
    ("100.127.255.255", "shared"),  # last of 100.64/10
    ("100.100.100.200", "shared"),  # metadata of Alibaba Cloud
    # IPv4: metadata and platform services
    ("169.254.169.254", "link-local (cloud metadata)"),
    ("169.254.170.2", "link-local"),  # credentials of ECS tasks
    ("169.254.0.0", "link-local"),
    ("168.63.129.16", "Azure"),  # `is_global` says True
    ("192.0.0.192", "IETF"),  # metadata of Oracle Cloud, classic
    ("192.0.0.1", "IETF"),
    # IPv4: documentation, tests, special services
    ("192.0.2.1", "documentation"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.255", "documentation"),
    ("198.18.0.1", "benchmarking"),
    ("198.19.255.255", "benchmarking"),  # last of 198.18/15
    ("192.88.99.1", "6to4 relay"),  # `is_global` says True
    ("192.31.196.1", "AS112"),
    ("192.175.48.1", "AS112"),
    ("192.52.193.1", "AMT"),
    ("224.0.0.1", "multicast"),  # `is_global` says True
    ("239.255.255.255", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    # IPv6: loopback, link, site
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "scope"),
    ("fe80::1%25eth0", "scope"),  # as it is spelled in a URL
    ("2600::1%eth0", "scope"),  # public, but with a scope it is sent on a link of our choice
    ("febf::1", "link-local"),  # last of fe80::/10
    ("fec0::1", "site-local"),  # `is_global` says True
    ("fc00::1", "unique local"),
    ("fd00:ec2::254", "unique local"),  # metadata of AWS
    ("fd20:ce::254", "unique local"),  # metadata of Google Cloud
    ("fdff:ffff::1", "unique local"),
    ("ff02::1", "multicast"),  # `is_global` says True
    ("ff0e::1", "multicast"),  # global scope
    # IPv6: forms of IPv4 addresses
    ("::ffff:127.0.0.1", "IPv4-mapped form of a loopback"),
    ("::ffff:169.254.169.254", "IPv4-mapped form of a link-local (cloud metadata)"),
    ("::ffff:8.8.8.8", "IPv4-mapped form of a public"),  # nobody needs it
    ("::127.0.0.1", "IPv4-compatible"),  # `is_global` says True
    ("::ffff:0:127.0.0.1", "IPv4-translated"),
    ("64:ff9b::7f00:1", "NAT64 of a loopback"),  # `is_global` says True
    ("64:ff9b::a00:1", "NAT64 of a private"),
    ("64:ff9b::ac1c:5", "NAT64 of a private"),
    ("64:ff9b::a9fe:a9fe", "NAT64 of a link-local (cloud metadata)"),
    ("64:ff9b::c000:201", "NAT64 of a documentation"),
    ("64:ff9b::ffff:ffff", "NAT64 of the broadcast"),
    ("64:ff9b::808:808", "NAT64 of a public"),
    ("64:ff9b:1::7f00:1", "local NAT64"),
    ("2002:7f00:1::1", "6to4 form of a loopback"),
    ("2002:a00:1::1", "6to4 form of a private"),
    ("2002:c000:201::1", "6to4 form of a documentation"),
    ("2002:808:808::1", "6to4 form of a public"),
    ("2001:0:4136:e378:8000:63bf:80ff:fffe", "Teredo form of a loopback"),  # client bits inverted
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo form of a documentation"),
    # IPv6: documentation and special services
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("2001:1::1", "IETF"),  # port control protocol anycast
    ("2001:20::1", "IETF"),  # ORCHIDv2
    ("2620:4f:8000::1", "AS112"),
    ("100::1", "discard"),
    ("5f00::1", "segment routing"),
    # IPv6: not given out, so denied unnamed
    ("4000::1", "outside global unicast"),  # just outside 2000::/3
    ("1fff::1", "outside global unicast"),  # just before it
    ("200::1", "outside global unicast"),
    ("e000::1", "outside global unicast"),
    ("400::1", "outside global unicast"),
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",  # just before 10/8
    "11.0.0.0",  # just after it
    "100.63.255.255",  # just before carrier-grade NAT
    "100.128.0.0",  # just after it
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",  # beside Azure's platform address
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",  # just before multicast
    "2001:200::1",  # just after 2001::/23
    "2001:4860:4860::8888",
    "2003::1",  # just after 6to4
    "2606:4700:4700::1111",
    "2a00:1450:4001:800::200e",
    "3ffe:ffff::1",
]


@pytest.mark.parametrize(("text", "reason"), DENIED)
def test_address_that_is_not_public_is_named(text: str, reason: str) -> None:
    """Every special-purpose address is refused, with the reason that it is special."""
    assert reason in (classify(ip_address(text)) or "let through")


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_passes(text: str) -> None:
    """A public address passes, also just beside a refused network."""
    assert classify(ip_address(text)) is None


def _never(_: Address) -> bool:
    return False


OWN = ip_address("1.2.3.4")


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("8.8.8.8", 443, None),
        ("8.8.8.8", 0, "at port 0"),
        ("8.8.4.4", 443, "denied by the operator"),
        ("10.0.0.1", 80, "a private address"),
        ("10.9.0.1", 80, None),  # allowed
        ("10.9.0.2", 80, "denied by the operator"),  # and denied: that counts
        ("10.9.0.1", 25, "at port 25, which is another protocol's"),
        ("10.9.0.3", 25, None),  # allowed by port
        ("10.9.0.3", 22, "at port 22, which is another protocol's"),
        ("8.8.8.8", 6667, "at port 6667, which is another protocol's"),
        ("127.0.0.1", 8080, None),  # allowed
        ("127.0.0.1", 0, "at port 0"),  # allowed, and still no port
        ("127.0.0.1", 50053, "a listener of this service"),  # allowed, and still itself
        ("127.0.0.1", 50052, "a listener of this service"),  # even by port
        ("0.0.0.0", 50053, "a listener of this service"),  # which is loopback by another name
        ("1.2.3.4", 443, "an address of this machine"),  # public
        ("1.2.3.4", 50053, "a listener of this service"),
        ("8.8.8.8", 50053, None),  # the port of someone else
        ("localhost", 80, "not an address"),
        ("", 80, "not an address"),
    ],
)
def test_rules_apply_in_order(host: str, port: int, reason: str | None) -> None:
    """What is denied comes first, then own listeners, ports, allowances, and what is not public."""
    allowed = ("127.0.0.0/8", "0.0.0.0/8", "127.0.0.1:50052", "10.9.0.0/16", "10.9.0.3:25")
    guard = Guard(
        tuple(map(AddressRange.parse, allowed)),
        frozenset({50052, 50053}),
        lambda address: address == OWN or address.is_loopback or address.is_unspecified,
        denied=tuple(map(AddressRange.parse, ("8.8.4.4", "10.9.0.2:80"))),
    )
    assert guard.denial(host, port) == reason


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("8.8.8.8", 443, None),
        ("8.8.8.8", 8080, None),
        ("8.8.8.8", 25, None),  # the operator's word counts
        ("8.8.8.8", 80, "at port 80, which is not among the allowed"),
        ("127.0.0.1", 443, None),  # allowed, as is the port
        ("127.0.0.1", 80, "at port 80, which is not among the allowed"),
        ("127.0.0.1", 5000, None),  # allowed by port
    ],
)
def test_ports_that_are_named_are_all_there_are(host: str, port: int, reason: str | None) -> None:
    """Where ports are named, a subrequest reaches those, and what an allowance names."""
    guard = Guard(
        tuple(map(AddressRange.parse, ("127.0.0.1", "127.0.0.1:5000"))),
        is_own=_never,
        allowed_ports=tuple(map(PortRange.parse, ("25", "443", "8000-8999"))),
    )
    assert guard.denial(host, port) == reason


def test_machine_knows_its_addresses() -> None:
    """All of loopback is this machine's; addresses of others are not."""
    assert is_own(ip_address("127.0.0.1"))
    assert is_own(ip_address("127.8.8.8"))
    assert not is_own(ip_address("8.8.8.8"))
    assert not is_own(ip_address("2001:4860:4860::8888"))


def test_socket_is_for_the_address_given() -> None:
    """A permitted address gets a socket of its family, not yet connected."""
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("8.8.8.8", 443))
    with Guard(is_own=_never).socket_factory(info) as made:
        assert (made.family, made.type) == (socket.AF_INET, socket.SOCK_STREAM)
        with pytest.raises(OSError, match="not connected"):
            made.getpeername()


def test_denial_keeps_its_reason() -> None:
    """A refused address raises an `OSError` with address, port and reason, and one fixed text."""
    info = (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", 80, 0, 0))
    with pytest.raises(DeniedError) as caught:
        Guard().socket_factory(info)
    denied = caught.value
    assert (denied.address, denied.port, denied.reason) == ("::1", 80, "a loopback address")
    assert str(denied) == str(DeniedError("10.0.0.1", 1, "a private address"))
