from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from sluice.pb.worker_pb2 import Bundle, Module
from sluice.registry.store import Store

_databases = count()


def bundle(text: str = "", **secrets: str) -> Bundle:
    """A valid bundle, different for each `text`."""
    content = f"export default {{}} // {text}".encode()
    return Bundle(
        main_module="index.js",
        modules=[Module(name="index.js", kind=Module.KIND_ES_MODULE, content=content)],
        compatibility_date="2026-01-01",
        secrets=secrets,
    )


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server of our own."""
    if not all(map(shutil.which, ("initdb", "pg_ctl", "postgres"))):
        pytest.skip("there is no PostgreSQL (initdb, pg_ctl and postgres) on this machine")
    # Short: the path of a unix socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))
    user = _unprivileged(folder)

    def run(*command: str) -> None:
        subprocess.run(
            command, user=user, check=True, stdout=subprocess.DEVNULL, timeout=50, cwd=folder
        )

    data = str(folder / "data")
    run("initdb", "-D", data, "-A", "trust", "-U", "sluice", "-E", "UTF8", "--no-sync")
    options = f"-k {folder} -h '' -F"
    run("pg_ctl", "-D", data, "-w", "-o", options, "-l", str(folder / "log"), "start")
    try:
        yield str(folder)
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _unprivileged(folder: Path) -> int | None:
    """The user to run PostgreSQL as, which refuses root; the folder becomes that user's."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, user, -1)
    return user


@pytest.fixture
async def postgresql_url(postgresql: str) -> AsyncIterator[str]:
    """The URL of an empty database."""
    name = f"test_{next(_databases)}"
    connection = await asyncpg.connect(host=postgresql, user="sluice", database="postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql:///{name}?host={postgresql}&user=sluice"
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/registry.db"
    found: str = request.getfixturevalue("postgresql_url")
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An empty store."""
    opened = await Store.open(url)
    yield opened
    await opened.aclose()
