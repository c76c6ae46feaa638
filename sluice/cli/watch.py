"""Waiting for files to change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from pathlib import Path

from watchfiles import DefaultFilter, awatch
from watchfiles.main import FileChange

from sluice.cli.dev_workers import Source, places

_LOOK_AGAIN_MS = 5_000
"""How often to see whether other folders are to be watched, when nothing else happens."""


def roots(sources: Iterable[Source], folders: Iterable[Path]) -> set[Path]:
    """The folders that have all files of those Workers, none inside another, all existing."""
    wanted = {folder.resolve() for source in sources for folder in places(source)}
    wanted |= {folder.resolve() for folder in folders}
    wanted = {folder for folder in wanted if folder.is_dir()}
    return {folder for folder in wanted if not wanted.intersection(folder.parents)}


async def changes(
    watched: Callable[[], set[Path]], ignored: Iterable[Path] = ()
) -> AsyncGenerator[None, None]:
    """Yield after each batch of changes below the folders that `watched` gives, now and later.

    Yields once more soon after the watch of a folder has begun, for what changed before.
    """
    counted = DefaultFilter(ignore_paths=[str(path) for path in ignored])
    now = await asyncio.to_thread(watched)
    while True:
        begun = False
        async with aclosing(_batches(now, counted)) as batches:
            async for batch in batches:
                if batch or not begun:
                    yield
                begun = True
                now, before = await asyncio.to_thread(watched), now
                if now != before:
                    break


def _batches(folders: set[Path], counted: DefaultFilter) -> AsyncGenerator[set[FileChange], None]:
    """Changes below those folders, and an empty set every now and then."""
    return awatch(
        *folders,
        watch_filter=counted,
        rust_timeout=_LOOK_AGAIN_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )
