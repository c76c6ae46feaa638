from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text

from sluice.registry.database import Database
from sluice.registry.store import Store
from sluice.registry.tables import metadata
from sluice.wire.errors import Reason, SluiceError
from tests.registry.conftest import bundle


async def test_the_migrations_make_the_tables(url: str) -> None:
    """The schema that the migrations make is the one that the code uses."""

    def differences(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    database = await Database.open(url)
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []
    await database.aclose()


async def test_what_an_older_release_stored_is_kept(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of the first schema is brought up to date with all that is in it."""
    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
    database = await Database.open(url)
    async with database.writing() as connection:
        old = "INSERT INTO namespaces (id, name, created_us) VALUES (7, 'production', 1)"
        await connection.execute(text(old))
    await database.aclose()
    monkeypatch.undo()
    store = await Store.open(url)
    (kept,) = await store.list_namespaces()
    assert (kept.name, kept.HasField("egress")) == ("production", False)
    await store.aclose()


async def test_several_may_open_an_empty_database_at_once(url: str) -> None:
    """Dispatchers that start together do not get into each other's way over the schema."""
    opened = await asyncio.gather(*(Database.open(url) for _ in range(4)))
    for database in opened:
        await database.aclose()


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Bundles hold secrets, so nobody else can read the file, its folder or its log."""
    store = await Store.open(f"sqlite:///{tmp_path}/new/registry.db")
    await store.put_worker("", "acme", bundle(A="1"))
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "new").iterdir()}
    await store.aclose()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert modes == {"registry.db": 0o600, "registry.db-wal": 0o600, "registry.db-shm": 0o600}


async def test_sqlite_is_set_up(tmp_path: Path) -> None:
    """Readers do not wait for a writer, foreign keys hold, and a lock is waited for."""
    database = await Database.open(f"sqlite:///{tmp_path}/registry.db")
    async with database.reading() as connection:
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    await database.aclose()
    assert found == ["wal", 1, 5_000]


async def test_reads_go_on_during_a_write(url: str) -> None:
    """Somebody who writes for long holds up nobody who reads."""
    store = await Store.open(url)
    before = await store.put_worker("", "acme", bundle("1"))
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(text("UPDATE workers SET version_count = 7"))
        assert await store.get_worker("", "acme") == before
    assert (await store.get_worker("", "acme")).version_count == 7
    await database.aclose()
    await store.aclose()


async def test_a_cancelled_write_leaves_nothing(url: str) -> None:
    """A caller that goes away in the middle leaves no half, no lock and no broken connection."""
    database = await Database.open(url)
    store, loop, inserting = Store(database), asyncio.get_running_loop(), asyncio.Event()

    def seen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO versions"):
            loop.call_soon(inserting.set)

    event.listen(database._engine.sync_engine, "before_cursor_execute", seen)
    put = asyncio.create_task(store.put_worker("", "acme", bundle("1")))
    await inserting.wait()
    put.cancel()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert await store.list_workers("") == []
    assert (await store.put_worker("", "acme", bundle("2"))).version_count == 1
    await store.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://h/d", "expected sqlite:///<path> or postgresql://..., got mysql://"),
        ("nonsense", "not a database URL"),
        ("sqlite://", "needs the path of a file"),
        ("sqlite:///:memory:", "needs the path of a file"),
    ],
)
async def test_another_kind_of_url_is_refused(url: str, message: str) -> None:
    """A URL that is of no use is a `ValueError` that says what is expected."""
    with pytest.raises(ValueError, match=message):
        await Database.open(url)


async def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    """A file that is no database, or no server at all, is `SERVICE_UNAVAILABLE`."""
    (tmp_path / "registry.db").write_text("this is no database, it is far too long for that" * 99)
    for url in (
        f"sqlite:///{tmp_path}/registry.db",
        f"postgresql:///x?host={tmp_path}&user=sluice",
    ):
        with pytest.raises(SluiceError, match="the registry's database: ") as raised:
            await Database.open(url)
        assert raised.value.reason is Reason.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("option", ["", "&sslmode=prefer"])
async def test_a_server_that_refuses_is_unavailable(postgresql: str, option: str) -> None:
    """What PostgreSQL says is in the error, and libpq's `sslmode` is understood."""
    with pytest.raises(SluiceError, match='database "gone" does not exist') as raised:
        await Database.open(f"postgresql:///gone?host={postgresql}&user=sluice{option}")
    assert raised.value.reason is Reason.SERVICE_UNAVAILABLE


async def test_an_error_never_shows_a_secret(url: str) -> None:
    """Statements carry bundles, and no error of theirs says what was in them."""
    store = await Store.open(url)
    database = await Database.open(url)
    async with database.writing() as connection:
        await connection.execute(text("ALTER TABLE bundles RENAME TO gone"))
    with pytest.raises(SluiceError) as raised:
        await store.put_worker("", "acme", bundle("1", A="hunter2"))
    assert raised.value.reason is Reason.SERVICE_UNAVAILABLE
    shown = f"{raised.value!r} {raised.value.__cause__}"
    assert "bundles" in shown
    assert "hunter2" not in shown
    await database.aclose()
    await store.aclose()
