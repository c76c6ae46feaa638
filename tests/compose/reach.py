"""Runs in a container: what can be reached from here. JSON in by argument, JSON out.

In: `scan`, hosts to try every TCP port of; `knock`, `[host, port]` pairs; `resolve`, names.
Out: `open`, the open ports of each scanned host; `answered`, the pairs from which anything at all
came back, a refusal too, by TCP or UDP; `resolved`, the names that have an address;
`interfaces`, those with an IPv6 address.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

PATIENCE = 3.0
"""How long an answer may take, in seconds. Where nothing answers, it is how long a try takes."""

_REFUSED = (ConnectionRefusedError, ConnectionResetError)


async def answers_tcp(host: str, port: int) -> bool:
    """Whether anything comes back for an attempt to connect."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(host, port)
    except _REFUSED:
        return True
    except OSError:  # no route, no neighbour, no answer in time
        return False
    writer.close()
    return True


class Datagrams(asyncio.DatagramProtocol):
    """Knows whether anything came back: a datagram, or word that the port is closed."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take a datagram."""
        self._settle(True)

    def error_received(self, exc: Exception) -> None:
        """Take an error of the network's."""
        self._settle(isinstance(exc, _REFUSED))

    def _settle(self, answered: bool) -> None:
        if not self.answered.done():
            self.answered.set_result(answered)


async def answers_udp(host: str, port: int) -> bool:
    """Whether anything comes back for a datagram."""
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.create_datagram_endpoint(
            Datagrams, remote_addr=(host, port)
        )
    except OSError:
        return False
    transport.sendto(b"anyone?")
    try:
        async with asyncio.timeout(PATIENCE):
            return await protocol.answered
    except TimeoutError:
        return False
    finally:
        transport.close()


def open_ports(host: str) -> list[int]:
    """Every TCP port of `host` where something listens."""
    return [port for port in range(1, 65536) if is_open(host, port)]


def is_open(host: str, port: int) -> bool:
    """Whether something listens there. Not asyncio, which makes 100,000 of these a minute's work."""
    with socket.socket() as trial:
        trial.settimeout(PATIENCE)
        return trial.connect_ex((host, port)) == 0


async def resolves(name: str) -> bool:
    """Whether `name` has an address."""
    try:
        return bool(await asyncio.get_running_loop().getaddrinfo(name, 80))
    except OSError:
        return False


def ipv6_interfaces() -> list[str]:
    """Names of the interfaces with an IPv6 address."""
    listed = Path("/proc/net/if_inet6")
    return [line.split()[-1] for line in listed.read_text().splitlines()] if listed.exists() else []


async def reach(asked: dict[str, Any]) -> dict[str, Any]:
    """Try all that is asked for."""
    knocks = [(host, port) for host, port in asked["knock"]]
    tcp, udp, resolved = await asyncio.gather(
        asyncio.gather(*(answers_tcp(*knock) for knock in knocks)),
        asyncio.gather(*(answers_udp(*knock) for knock in knocks)),
        asyncio.gather(*map(resolves, asked["resolve"])),
    )
    return {
        "open": {host: open_ports(host) for host in asked["scan"]},
        "answered": {
            "tcp": [knock for knock, answered in zip(knocks, tcp, strict=True) if answered],
            "udp": [knock for knock, answered in zip(knocks, udp, strict=True) if answered],
        },
        "resolved": [name for name, found in zip(asked["resolve"], resolved, strict=True) if found],
        "interfaces": ipv6_interfaces(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(reach(json.loads(sys.argv[1])))))
