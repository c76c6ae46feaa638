"""The system's resolver: a thread for each lookup, that nobody waits for."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from services.outbound.origin import resolver
from services.outbound.origin.resolver import MAX_ADDRESSES, Resolver


async def test_name_is_resolved_to_addresses() -> None:
    """An answer has the address in text and the port that was asked for."""
    answer = await Resolver().resolve("localhost", 8080, socket.AF_INET)
    assert {(found["host"], found["port"]) for found in answer} == {("127.0.0.1", 8080)}


async def test_failure_is_raised() -> None:
    """What the system says of a name without an address is raised, with its number."""
    with pytest.raises(socket.gaierror) as caught:
        await Resolver().resolve("does-not-exist.invalid", 80)
    assert caught.value.errno in (socket.EAI_NONAME, socket.EAI_AGAIN)


async def test_hanging_lookup_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names whose servers do not answer do not hold up others, nor the loop's own threads."""
    end, lookup = threading.Event(), resolver._lookup

    def hang(host: str, port: int, family: socket.AddressFamily) -> object:
        if host == "hangs.invalid":
            end.wait(10)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answered")
        return lookup(host, port, family)

    monkeypatch.setattr(resolver, "_lookup", hang)
    hung = [asyncio.ensure_future(Resolver().resolve("hangs.invalid")) for _ in range(100)]
    await asyncio.sleep(0)  # they come first
    assert await Resolver().resolve("localhost", 80, socket.AF_INET)
    hung[0].cancel()
    end.set()
    results = await asyncio.gather(*hung, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, socket.gaierror) for result in results[1:])


async def test_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with thousands of addresses has a few."""
    many = [(socket.AF_INET, 1, 6, "", (f"8.8.{n >> 8}.{n & 255}", 80)) for n in range(4000)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: many)
    assert len(await Resolver().resolve("many.example.com", 80)) == MAX_ADDRESSES


EXITS = """
import asyncio, socket, time
from services.outbound.origin.resolver import Resolver

socket.getaddrinfo = lambda *_: time.sleep(60)

async def main():
    asking = asyncio.ensure_future(Resolver().resolve("hangs.invalid"))
    await asyncio.sleep(0.05)
    asking.cancel()

asyncio.run(main())
print("over")
"""


def test_process_ends_without_its_lookups() -> None:
    """A service that stops does not wait for names whose servers do not answer."""
    run = subprocess.run(
        [sys.executable, "-c", EXITS], check=False, timeout=20, capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "over\n", "")
