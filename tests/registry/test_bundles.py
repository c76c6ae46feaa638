from __future__ import annotations

import asyncio

import pytest

from sluice.bundle.digest import digest
from sluice.pb.worker_pb2 import Bundle
from sluice.registry.bundles import Bundles
from sluice.wire.errors import Reason, SluiceError
from tests.registry.conftest import bundle

ALL = {digest(b): b for b in map(bundle, "abcd")}
A, B, C, D = ALL
SIZE = bundle("a").ByteSize()


class Reads:
    """Reads bundles, and counts."""

    def __init__(self) -> None:
        self.read_: list[str] = []

    async def read(self, digest: str) -> Bundle:
        self.read_.append(digest)
        if digest not in ALL:
            raise SluiceError(Reason.WORKER_NOT_FOUND, "gone")
        return ALL[digest]


async def test_a_bundle_is_read_once() -> None:
    """A bundle never changes, so it is read once, also for many at once."""
    reads = Reads()
    kept = Bundles(reads.read)
    found = await asyncio.gather(*(kept.get(A) for _ in range(9)))
    assert all(one is ALL[A] for one in [*found, await kept.get(A)])
    assert reads.read_ == [A]


async def test_the_bytes_kept_are_bounded() -> None:
    """What was used longest ago goes first."""
    reads = Reads()
    kept = Bundles(reads.read, max_bytes=3 * SIZE)
    for one in (A, B, C, A, D):
        await kept.get(one)
    reads.read_.clear()
    for one in (A, C, D, B):
        await kept.get(one)
    assert reads.read_ == [B]


async def test_one_that_is_too_large_is_given_and_not_kept() -> None:
    """A bundle over the bound is read each time, and leaves room for others after it."""
    reads = Reads()
    kept = Bundles(reads.read, max_bytes=SIZE - 1)
    assert await kept.get(A) is await kept.get(A)
    assert reads.read_ == [A, A]


async def test_one_that_is_not_there_is_asked_for_again() -> None:
    """A digest that was not there may be there next time."""
    reads = Reads()
    kept = Bundles(reads.read)
    for _ in range(2):
        with pytest.raises(SluiceError, match="gone"):
            await kept.get("x")
    assert reads.read_ == ["x", "x"]
    await kept.aclose()
