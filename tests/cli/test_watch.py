from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from sluice.cli import watch
from sluice.cli.dev_workers import Source


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the folders are others is looked at more often than in life."""
    monkeypatch.setattr(watch, "_LOOK_AGAIN_MS", 50)


async def soon(changes: AsyncIterator[None]) -> None:
    """The next change."""
    async with asyncio.timeout(20):
        await anext(changes)


def test_roots_have_no_root_inside(tmp_path: Path) -> None:
    """A folder inside another is not watched twice; one that is not there is not watched."""
    acme = tmp_path / "customers" / "acme"
    acme.mkdir(parents=True)
    (tmp_path / "outbound.js").touch()
    account, gone = tmp_path / "customers", tmp_path / "gone"
    found = watch.roots([Source("production", acme)], [account, gone])
    assert found == {account}
    assert watch.roots([Source("", tmp_path / "outbound.js")], [account]) == {tmp_path}


async def test_change_of_a_file_is_seen(tmp_path: Path) -> None:
    """A write deep below a watched folder is a change; one that is ignored is none."""
    deep = tmp_path / "acme" / "src"
    ignored = tmp_path / "state"
    deep.mkdir(parents=True)
    ignored.mkdir()
    seen = watch.changes(lambda: {tmp_path}, [ignored])
    async with aclosing(seen):
        await soon(seen)  # for what changed before the watch began
        (deep / "index.js").write_text("1")
        await soon(seen)
        (ignored / "registry.db").write_text("1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(seen)


async def test_new_folders_are_watched(tmp_path: Path) -> None:
    """Where the files to watch are may change, as when a config names another main module."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    roots = {first}
    seen = watch.changes(lambda: set(roots))
    async with aclosing(seen):
        await soon(seen)
        roots.add(second)
        await soon(seen)  # the watch of both has begun
        (second / "index.js").write_text("1")
        await soon(seen)


async def test_nothing_to_watch_is_no_error(tmp_path: Path) -> None:
    """A folder that comes back is watched again."""
    folder = tmp_path / "customers"
    seen = watch.changes(lambda: {folder} if folder.is_dir() else set())
    async with aclosing(seen):
        await soon(seen)
        folder.mkdir()
        await soon(seen)
        (folder / "acme.js").write_text("1")
        await soon(seen)
