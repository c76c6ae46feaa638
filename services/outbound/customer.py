"""Whose request it is."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Customer(NamedTuple):
    """A user Worker, whatever its version. Places, connections and lookups are counted by it."""

    dispatch_namespace: str
    worker: str


asking: ContextVar[Customer] = ContextVar("asking")
"""For whom a name is looked up. aiohttp calls the resolver and has no place for it."""
