"""Guests of Python isolates, as ordinary processes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.isolate.python.guest import Files, Guest, running
from tests.isolate.python.nursery import Nursery


class StartGuest(Protocol):
    """Starts a guest, which is stopped at the end of the test."""

    async def __call__(self, source: str | Files, **options: Any) -> Guest: ...


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where guests are forked."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
async def start(nursery: Nursery) -> AsyncIterator[StartGuest]:
    """Start a guest from the source of its `main.py`, or from files."""
    async with AsyncExitStack() as stack:

        async def start_one(source: str | Files, **options: Any) -> Guest:
            # A short path: a unix socket's may have 107 bytes.
            folder = Path(tempfile.mkdtemp(prefix="sl-"))
            stack.callback(shutil.rmtree, folder)
            files = {"main.py": source} if isinstance(source, str) else source
            return await stack.enter_async_context(running(nursery, folder, files, **options))

        yield start_one
