from __future__ import annotations

import asyncio
import time

import pytest

from sluice.bundle.digest import digest
from sluice.pb.worker_pb2 import EgressPolicy, HostList
from sluice.registry.store import KEEP_BUNDLES, Store
from sluice.wire.errors import Reason, SluiceError
from tests.registry.conftest import bundle


async def test_a_namespace_is_created_listed_and_deleted(store: Store) -> None:
    """A namespace is there from creation to deletion, and takes its Workers with it."""
    before = time.time()
    made = await store.create_namespace("production")
    await store.create_namespace("a-first")
    assert made.name == "production"
    assert before - 1 < made.created.ToMicroseconds() / 1e6 < time.time() + 1
    await store.put_worker("production", "acme", bundle())
    await store.put_worker("production", "shop", bundle())
    found = await store.list_namespaces()
    assert [(n.name, n.worker_count) for n in found] == [("a-first", 0), ("production", 2)]
    assert (await store.get_namespace("production")).created == made.created
    assert await store.delete_namespace("production") == 2
    assert [n.name for n in await store.list_namespaces()] == ["a-first"]


async def test_a_namespace_has_a_policy(store: Store) -> None:
    """A policy is kept as it was given, beside namespaces that have none."""
    policy = EgressPolicy(
        mode=EgressPolicy.MODE_REPORT,
        allowed_hosts=HostList(patterns=["*.B\u00fccher.example"]),
        denied_hosts=["192.0.2.0/24"],
    )
    assert (await store.create_namespace("a", policy)).egress == policy
    assert not (await store.create_namespace("b")).HasField("egress")
    empty = EgressPolicy()
    assert (await store.update_namespace("b", empty)).HasField("egress")  # which is not none
    found = await store.list_namespaces()
    assert [n.egress for n in found] == [policy, empty]
    assert not (await store.update_namespace("a", None)).HasField("egress")
    await store.put_worker("a", "acme", bundle())
    await store.put_worker("b", "acme", bundle())
    await store.put_worker("", "acme", bundle())
    current = [await store.current(namespace, "acme") for namespace in ("a", "b", "")]
    assert [egress for _, egress in current] == [None, empty, None]


async def test_a_policy_needs_a_namespace_and_patterns(store: Store) -> None:
    """A policy for no namespace, or that cannot be read, changes nothing and says why."""
    with pytest.raises(SluiceError) as raised:
        await store.update_namespace("gone", None)
    assert raised.value.reason is Reason.NAMESPACE_NOT_FOUND
    await store.create_namespace("a")
    with pytest.raises(SluiceError, match=r"egress.denied_hosts\[0\]: ''") as raised:
        await store.update_namespace("a", EgressPolicy(denied_hosts=[""]))
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert not (await store.get_namespace("a")).HasField("egress")


async def test_a_worker_is_put_listed_and_deleted(store: Store) -> None:
    """A Worker says what it is, and a second version changes only what it should."""
    await store.create_namespace("production")
    first = await store.put_worker("production", "acme", bundle("1"))
    second = await store.put_worker("production", "acme", bundle("2"))
    await store.put_worker("production", "Acme", bundle("3"))
    assert (first.worker.dispatch_namespace, first.worker.name) == ("production", "acme")
    assert first.worker.digest == digest(bundle("1"))
    assert (first.main_module, first.version_count) == ("index.js", 1)
    assert second.worker.digest == digest(bundle("2"))
    assert second.version_count == 2
    assert second.created == first.created
    assert second.modified.ToMicroseconds() > first.modified.ToMicroseconds()
    assert await store.get_worker("production", "acme") == second
    listed = await store.list_workers("production")
    assert sorted(w.worker.name for w in listed) == ["Acme", "acme"]
    await store.delete_worker("production", "acme")
    assert [w.worker.name for w in await store.list_workers("production")] == ["Acme"]


async def test_names_are_apart_in_each_namespace_and_at_account_level(store: Store) -> None:
    """One name may be a Worker in each namespace and one at account level."""
    await store.create_namespace("a")
    await store.create_namespace("b")
    for place in ("a", "b", ""):
        info = await store.put_worker(place, "acme", bundle(place))
        assert info.version_count == 1
    for place in ("a", "b", ""):
        assert await store.resolve(place, "acme") == digest(bundle(place))
        assert [w.worker.dispatch_namespace for w in await store.list_workers(place)] == [place]
    await store.delete_namespace("a")
    assert await store.resolve("", "acme") == digest(bundle(""))
    assert await store.resolve("b", "acme") == digest(bundle("b"))


async def test_the_same_bundle_is_the_same_version(store: Store) -> None:
    """A version is named by its digest: putting it again changes nothing, going back does."""
    first = await store.put_worker("", "acme", bundle("1"))
    assert await store.put_worker("", "acme", bundle("1")) == first
    await store.put_worker("", "acme", bundle("2"))
    back = await store.put_worker("", "acme", bundle("1"))
    assert (back.worker.digest, back.version_count) == (first.worker.digest, 3)


async def test_a_bundle_comes_back_as_it_was_put(store: Store) -> None:
    """What is stored is the whole bundle."""
    put = bundle("x", TOKEN="hunter2")  # a secret is what is tested
    put.vars.update({"A": {"b": [1, None]}})
    info = await store.put_worker("", "acme", put)
    assert await store.bundle(info.worker.digest) == put


async def test_secrets_are_carried_over(store: Store) -> None:
    """A new version keeps secrets that it does not name, unless they are to be dropped."""
    await store.put_worker("", "acme", bundle("1", A="1", B="1"))
    await store.put_worker("", "acme", bundle("2", B="2", C="2"))
    assert await store.list_secrets("", "acme") == ["A", "B", "C"]
    kept = await store.bundle(await store.resolve("", "acme"))
    assert dict(kept.secrets) == {"A": "1", "B": "2", "C": "2"}
    await store.put_worker("", "acme", bundle("3", D="3"), drop_secrets=True)
    assert await store.list_secrets("", "acme") == ["D"]


async def test_putting_does_not_change_the_callers_bundle(store: Store) -> None:
    """The secrets of the version before go into a copy."""
    await store.put_worker("", "acme", bundle("1", A="1"))
    mine = bundle("2")
    await store.put_worker("", "acme", mine)
    assert mine == bundle("2")


async def test_secrets_are_patched(store: Store) -> None:
    """Setting and deleting secrets makes a version with the same code."""
    await store.put_worker("", "acme", bundle("1", A="1", B="1", C="1"))
    info = await store.patch_secrets("", "acme", {"B": "2", "D": "2"}, ["A"])
    assert info.version_count == 2
    patched = await store.bundle(info.worker.digest)
    assert dict(patched.secrets) == {"B": "2", "C": "1", "D": "2"}
    assert patched.modules == bundle("1").modules


async def test_a_patch_is_whole_or_not_at_all(store: Store) -> None:
    """Deleting a secret that is not there is an error, and leaves everything as it was."""
    before = await store.put_worker("", "acme", bundle("1", A="1"))
    with pytest.raises(SluiceError, match="delete: Worker 'acme' has no secret 'X'") as raised:
        await store.patch_secrets("", "acme", {"B": "2"}, ["A", "X"])
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert await store.get_worker("", "acme") == before


async def test_a_secret_may_not_hide_behind_a_var(store: Store) -> None:
    """A new var of the name of a kept secret is refused, not silently either of the two."""
    await store.put_worker("", "acme", bundle("1", A="1"))
    new = bundle("2")
    new.vars.update({"A": "plain"})
    with pytest.raises(SluiceError, match="'A' is also the name of a binding in vars") as raised:
        await store.put_worker("", "acme", new)
    assert raised.value.reason is Reason.INVALID_BUNDLE
    await store.put_worker("", "acme", new, drop_secrets=True)


async def test_an_invalid_bundle_is_refused(store: Store) -> None:
    """What cannot be a Worker never gets in."""
    bad = bundle()
    bad.main_module = "gone.js"
    with pytest.raises(SluiceError) as raised:
        await store.put_worker("", "acme", bad)
    assert raised.value.reason is Reason.INVALID_BUNDLE
    assert await store.list_workers("") == []


async def test_what_is_not_there_is_named(store: Store) -> None:
    """Each way not to be there has its reason and its message."""
    await store.create_namespace("production")
    namespace = (Reason.NAMESPACE_NOT_FOUND, "no dispatch namespace 'gone'")
    worker = (Reason.WORKER_NOT_FOUND, "no Worker 'acme' in dispatch namespace 'production'")
    account = (Reason.WORKER_NOT_FOUND, "no account-level Worker 'acme'")
    cases = [
        (store.get_namespace("gone"), namespace),
        (store.delete_namespace("gone"), namespace),
        (store.list_workers("gone"), namespace),
        (store.put_worker("gone", "acme", bundle()), namespace),
        (store.get_worker("gone", "acme"), namespace),
        (store.resolve("gone", "acme"), namespace),
        (store.delete_worker("gone", "acme"), namespace),
        (store.patch_secrets("gone", "acme", {}, []), namespace),
        (store.list_secrets("gone", "acme"), namespace),
        (store.get_worker("production", "acme"), worker),
        (store.resolve("production", "acme"), worker),
        (store.delete_worker("production", "acme"), worker),
        (store.patch_secrets("production", "acme", {}, []), worker),
        (store.list_secrets("production", "acme"), worker),
        (store.resolve("", "acme"), account),
        (store.delete_worker("", "acme"), account),
        (
            store.bundle("0" * 64),
            (Reason.WORKER_NOT_FOUND, f"no Worker has or had the digest '{'0' * 64}'"),
        ),
    ]
    for call, (reason, message) in cases:
        with pytest.raises(SluiceError) as raised:
            await call
        assert (raised.value.reason, raised.value.message) == (reason, message)


async def test_a_namespace_is_created_once(store: Store) -> None:
    """Of many who create a namespace at the same time, one does."""
    results = await asyncio.gather(
        *(store.create_namespace("production") for _ in range(8)), return_exceptions=True
    )
    errors = [result for result in results if isinstance(result, SluiceError)]
    assert len(errors) == 7
    assert {error.reason for error in errors} == {Reason.ALREADY_EXISTS}
    assert errors[0].message == "there is a dispatch namespace 'production' already"


async def test_concurrent_versions_are_all_kept(url: str, store: Store) -> None:
    """Versions and secrets put at once by two dispatchers are all there, the Worker made once."""
    other = await Store.open(url)
    try:
        await asyncio.gather(
            *(
                (store, other)[at % 2].put_worker("", "acme", bundle(str(at), **{f"S{at}": "x"}))
                for at in range(20)
            )
        )
    finally:
        await other.aclose()
    assert (await store.get_worker("", "acme")).version_count == 20
    assert len(await store.list_secrets("", "acme")) == 20


async def test_a_put_and_a_delete_of_the_namespace_do_not_mix(store: Store) -> None:
    """A Worker is put before its namespace goes, or not at all: it is never left without one."""
    for _ in range(5):
        await store.create_namespace("production")
        put = [store.put_worker("production", f"w{at}", bundle(str(at))) for at in range(4)]
        deleted, *results = await asyncio.gather(
            store.delete_namespace("production"), *put, return_exceptions=True
        )
        failed = [r for r in results if isinstance(r, BaseException)]
        assert all(
            isinstance(e, SluiceError) and e.reason is Reason.NAMESPACE_NOT_FOUND for e in failed
        )
        assert deleted == len(results) - len(failed)


async def test_the_registry_outlives_its_process(url: str) -> None:
    """What was put is there when the database is opened again."""
    store = await Store.open(url)
    await store.create_namespace("production")
    before = await store.put_worker("production", "acme", bundle("1", A="1"))
    await store.aclose()
    store = await Store.open(url)
    assert await store.get_worker("production", "acme") == before
    await store.aclose()


async def test_a_bundle_outlives_its_worker_for_a_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no Worker has any more goes a day after it was left, and not what one still has."""
    await store.create_namespace("production")
    left, replaced, kept, gone = bundle("1"), bundle("2"), bundle("3"), bundle("4")
    start = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: start - 2 * KEEP_BUNDLES * 10**9)
    await store.put_worker("", "left", left)
    await store.put_worker("", "replaced", replaced)
    await store.put_worker("production", "gone", gone)
    await store.put_worker("", "also", kept)
    monkeypatch.setattr(time, "time_ns", lambda: start)
    await store.delete_worker("", "left")
    await store.put_worker("", "replaced", kept)
    await store.delete_namespace("production")
    assert await store.collect_garbage() == 0
    for which in (left, replaced, kept, gone):
        assert await store.bundle(digest(which)) == which
    monkeypatch.setattr(time, "time_ns", lambda: start + (KEEP_BUNDLES + 1) * 10**9)
    assert await store.collect_garbage() == 3
    assert await store.bundle(digest(kept)) == kept
    with pytest.raises(SluiceError):
        await store.bundle(digest(left))
