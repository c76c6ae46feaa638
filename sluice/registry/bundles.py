"""Bundles of late, kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from sluice.pb import worker_pb2
from sluice.registry.flight import SingleFlight

MAX_BYTES = 256 * 1024 * 1024
"""Most bytes of bundles kept. Those used longest ago go first."""


class Bundles:
    """Bundles by digest, in front of `read`, which is asked once for all who want the same."""

    def __init__(
        self,
        read: Callable[[str], Coroutine[Any, Any, worker_pb2.Bundle]],
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._read = read
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, worker_pb2.Bundle] = OrderedDict()
        self._bytes = 0
        self._flight: SingleFlight[str, worker_pb2.Bundle] = SingleFlight(self._ask)

    async def get(self, digest: str) -> worker_pb2.Bundle:
        """The bundle. Raises what `read` raises."""
        bundle = self._kept.get(digest)
        if bundle is None:
            return await self._flight.get(digest)
        self._kept.move_to_end(digest)
        return bundle

    async def aclose(self) -> None:
        """Give up what is being read."""
        await self._flight.aclose()

    async def _ask(self, digest: str) -> worker_pb2.Bundle:
        bundle = await self._read(digest)
        self._kept[digest] = bundle
        self._bytes += bundle.ByteSize()
        while self._bytes > self._max_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].ByteSize()
        return bundle
