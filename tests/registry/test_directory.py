from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import process_time

import pytest

from sluice.bundle.digest import digest
from sluice.pb.worker_pb2 import EgressPolicy
from sluice.registry import answers
from sluice.registry.directory import Directory
from sluice.registry.source import BundleSource
from sluice.registry.store import Store
from sluice.wire.errors import Reason, SluiceError
from tests.registry.conftest import bundle


@pytest.fixture
async def directory(store: Store) -> AsyncIterator[Directory]:
    """A directory over an empty store."""
    opened = Directory(store)
    yield opened
    await opened.aclose()


async def _reason(source: BundleSource, namespace: str, name: str) -> Reason:
    with pytest.raises(SluiceError) as raised:
        await source.resolve(namespace, name)
    return raised.value.reason


async def test_a_write_is_seen_at_once(directory: Directory) -> None:
    """What is written through the directory is what it answers next, for every kind of write."""
    assert await _reason(directory, "production", "acme") is Reason.NAMESPACE_NOT_FOUND
    await directory.create_namespace("production")
    assert await _reason(directory, "production", "acme") is Reason.WORKER_NOT_FOUND
    for text in "12":
        await directory.put_worker("production", "acme", bundle(text, A="1"))
        assert await directory.resolve("production", "acme") == digest(bundle(text, A="1"))
    await directory.patch_secrets("production", "acme", {"A": "2"}, [])
    assert await directory.resolve("production", "acme") == digest(bundle("2", A="2"))
    await directory.delete_worker("production", "acme")
    assert await _reason(directory, "production", "acme") is Reason.WORKER_NOT_FOUND
    await directory.put_worker("production", "acme", bundle("3"))
    await directory.resolve("production", "acme")
    await directory.delete_namespace("production")
    assert await _reason(directory, "production", "acme") is Reason.NAMESPACE_NOT_FOUND


async def test_a_policy_is_seen_at_once(directory: Directory) -> None:
    """The policy that a namespace gets through the directory holds for what is asked next."""
    await directory.create_namespace("production", EgressPolicy(denied_hosts=["a.test"]))
    for name in ("acme", "shop"):
        await directory.put_worker("production", name, bundle(name))
    for denied in (["a.test"], ["b.test"], []):
        policy = EgressPolicy(denied_hosts=denied)
        await directory.update_namespace("production", policy)
        for name in ("acme", "shop"):
            assert await directory.current("production", name) == (digest(bundle(name)), policy)
    await directory.update_namespace("production", None)
    assert (await directory.current("production", "acme")).egress is None


async def test_every_put_serves_from_when_it_returns(directory: Directory) -> None:
    """However many resolve meanwhile, a put that returned is what is found."""
    stop = asyncio.Event()

    async def resolve() -> None:
        while not stop.is_set():
            await directory.resolve("", "acme")
            await asyncio.sleep(0)

    await directory.put_worker("", "acme", bundle("0"))
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(resolve())
        for text in map(str, range(1, 10)):
            info = await directory.put_worker("", "acme", bundle(text))
            assert await directory.resolve("", "acme") == info.worker.digest
        stop.set()


async def test_the_write_of_another_dispatcher_is_seen(
    url: str, directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that share a database agree once the TTL is over."""
    monkeypatch.setattr(answers, "TTL", 0.0)
    other = Directory(await Store.open(url))
    for text in "12":
        info = await other.put_worker("", "acme", bundle(text))
        assert await directory.resolve("", "acme") == info.worker.digest
    await other.create_namespace("production")
    await other.put_worker("production", "acme", bundle())
    for policy in (EgressPolicy(denied_hosts=["a.test"]), None):
        await other.update_namespace("production", policy)
        assert (await directory.current("production", "acme")).egress == policy
    await other.aclose()
    await other.store.aclose()


async def test_a_bundle_is_found_by_digest(directory: Directory) -> None:
    """A digest gives the bundle, the same object each time."""
    info = await directory.put_worker("", "acme", bundle("1"))
    found = await directory.bundle(info.worker.digest)
    assert found == bundle("1")
    assert await directory.bundle(info.worker.digest) is found


async def test_a_hit_costs_about_a_microsecond(directory: Directory) -> None:
    """The hot path of every request: no query, no lock, no task."""
    await directory.put_worker("", "acme", bundle("1"))
    await directory.resolve("", "acme")
    best = 1.0
    for _ in range(20):
        start = process_time()
        for _ in range(1000):
            await directory.resolve("", "acme")
        best = min(best, (process_time() - start) / 1000)
    assert best < 10e-6  # ten times what it takes, for slow machines
