"""The resolver: threads of its own, and a bound on what waits for them."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from services.outbound import resolver
from services.outbound.resolver import Resolver


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Lookups of names under `hangs.invalid` end only when this is set."""
    end = threading.Event()
    lookup = resolver._lookup

    def hang(host: str, port: int, family: socket.AddressFamily) -> object:
        if host.endswith("hangs.invalid"):
            end.wait(10)
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup(host, port, family)

    monkeypatch.setattr(resolver, "_lookup", hang)
    return end


async def test_name_is_resolved_to_addresses() -> None:
    """An answer has the address in text and the port that was asked for."""
    names = Resolver()
    answer = await names.resolve("localhost", 8080, socket.AF_INET)
    assert {(found["host"], found["port"]) for found in answer} == {("127.0.0.1", 8080)}
    await names.close()


async def test_hanging_lookups_leave_room(hanging: threading.Event) -> None:
    """Names whose servers do not answer do not hold up others, nor the loop's own threads."""
    names = Resolver()
    hung = [asyncio.ensure_future(names.resolve(f"{n}.hangs.invalid")) for n in range(32)]
    await asyncio.sleep(0)  # they come first
    assert await names.resolve("localhost", 80, socket.AF_INET)
    hanging.set()
    assert all(
        isinstance(result, OSError)
        for result in await asyncio.gather(*hung, return_exceptions=True)
    )
    await names.close()


async def test_lookups_are_bounded(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound a lookup fails at once; afterwards there is room again."""
    monkeypatch.setattr(resolver, "MAX_WAITING", 2)
    names = Resolver()
    hung = [asyncio.ensure_future(names.resolve(f"{n}.hangs.invalid")) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="too many lookups"):
        await names.resolve("localhost")
    hanging.set()
    await asyncio.gather(*hung, return_exceptions=True)
    assert await names.resolve("localhost", 80, socket.AF_INET)
    await names.close()
