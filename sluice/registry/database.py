"""SQLite and PostgreSQL behind one interface: connections, transactions and the schema."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import asyncpg
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from sluice.wire.errors import Reason, SluiceError

DEADLINE = 30.0
"""Seconds that one transaction may take, with the wait for a connection and for a lock."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
# OSError is also TimeoutError, and asyncpg's errors come as they are while it connects.
_FAILURES = (sqlalchemy.exc.SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_SCHEMA_LOCK = "sluice schema"


class Database:
    """A pool of connections to a database with the current schema."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._reads = engine.execution_options(reads=True)
        self._is_postgresql = engine.dialect.name == "postgresql"
        # SQLite's own wait for a lock is a poll, and not in turn.
        self._turn = nullcontext() if self._is_postgresql else asyncio.Lock()

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to `sqlite:///<path>` or `postgresql://...`, and bring its schema up to date.

        Raises `ValueError` for another kind of URL, `SERVICE_UNAVAILABLE` for want of a server.
        """
        database = cls(_engine(url))
        try:
            async with database.writing() as connection:
                # Several dispatchers may start at once.
                await database.lock(connection, _SCHEMA_LOCK)
                await connection.run_sync(_migrate)
        except BaseException:
            await database.aclose()
            raise
        return database

    async def aclose(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read from."""
        async with _guarded(), self._reads.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end. In SQLite there is one at a time."""
        async with _guarded(), self._turn, self._engine.begin() as connection:
            yield connection

    async def lock_worker(self, connection: AsyncConnection, namespace: str, name: str) -> None:
        """Let no other transaction write to this Worker until this one ends."""
        await self.lock(connection, f"worker {namespace}/{name}")

    async def lock(self, connection: AsyncConnection, what: str) -> None:
        """Let no other transaction past the lock of this name until this one ends."""
        if self._is_postgresql:
            key = int.from_bytes(sha256(what.encode()).digest()[:8], signed=True)
            await connection.execute(select(func.pg_advisory_xact_lock(key)))

    def insert(self, table: sqlalchemy.Table) -> Any:
        """An INSERT that can say ON CONFLICT."""
        return (postgresql if self._is_postgresql else sqlite).insert(table)


@asynccontextmanager
async def _guarded() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(DEADLINE):
            yield
    except _FAILURES as error:
        cause = getattr(error, "orig", None) or error
        raise SluiceError(
            Reason.SERVICE_UNAVAILABLE, f"the registry's database: {cause or type(cause).__name__}"
        ) from error


def _engine(url: str) -> AsyncEngine:
    parsed = _parsed(url)
    # Parameters are bundles, and those have secrets: never in an error or a log.
    options = {"hide_parameters": True, "pool_timeout": DEADLINE}
    if parsed.get_backend_name() == "postgresql":
        connect = {"timeout": 10, "command_timeout": DEADLINE}
        return create_async_engine(parsed, pool_pre_ping=True, connect_args=connect, **options)
    _create_private(Path(str(parsed.database)))
    engine = create_async_engine(parsed, **options)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _parsed(url: str) -> sqlalchemy.URL:
    """The URL with the driver that is used here. Raises `ValueError`."""
    try:
        parsed = make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise ValueError("not a database URL") from error
    kind = parsed.drivername.split("+")[0]
    if kind not in _DRIVERS:
        raise ValueError(f"expected sqlite:///<path> or postgresql://..., got {kind}://")
    if kind == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise ValueError("sqlite:///<path> needs the path of a file")
    # libpq's name; asyncpg has the same values by another.
    query = {"ssl" if key == "sslmode" else key: value for key, value in parsed.query.items()}
    return parsed.set(drivername=_DRIVERS[kind], query=query)


def _create_private(path: Path) -> None:
    """Make the file and its folder, for the owner alone. SQLite gives its WAL the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _set_up_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # begin below says how to begin
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    # A transaction that reads first and then finds another writer would fail, not wait.
    reads = connection.get_execution_options().get("reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _migrate(connection: sqlalchemy.Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "sluice.registry:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
