"""Which version is current: the answers of late, kept for a second."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from sluice.bundle.validate import is_name, is_namespace
from sluice.registry.flight import SingleFlight
from sluice.registry.not_found import no_worker
from sluice.wire.errors import Reason, SluiceError

TTL = 1.0
"""Seconds that an answer holds. Services that share a registry disagree for no longer."""

STALE = 60.0
"""Seconds more that it stands in, when the registry cannot be asked."""

MAX_ANSWERS = 10_000
"""Most answers kept. Those read longest ago go first."""

T = TypeVar("T")

Name: TypeAlias = tuple[str, str]
"""Dispatch namespace, empty for account level, and Worker."""

_NOT_FOUND = frozenset({Reason.WORKER_NOT_FOUND, Reason.NAMESPACE_NOT_FOUND})
_log = logging.getLogger(__name__)


class _Kept(NamedTuple, Generic[T]):
    until: float
    stale_until: float
    answer: T | SluiceError


class Answers(Generic[T]):
    """What is current, by name, and names that are not there, in front of `read`.

    `read` is asked once for all who want the same name at the same time.
    """

    def __init__(self, read: Callable[[str, str], Awaitable[T]]) -> None:
        self._read = read
        self._kept: dict[Name, _Kept[T]] = {}
        self._flight: SingleFlight[Name, _Kept[T]] = SingleFlight(self._ask)
        self._age = 0

    async def get(self, name: Name) -> T:
        """What `read` gives. Raises what `read` raises."""
        kept = self._kept.get(name)
        if kept is None or kept.until <= monotonic():
            if not (is_name(name[1]) and (is_namespace(name[0]) or not name[0])):
                raise no_worker(*name)
            kept = await self._flight.get(name)
        answer = kept.answer
        if isinstance(answer, SluiceError):
            raise SluiceError(answer.reason, answer.message, **answer.metadata)
        return answer

    def forget(self, namespace: str, worker: str | None = None) -> None:
        """Read anew what is known of a Worker, or of a whole namespace."""
        self._age += 1
        self._flight.split()
        if worker is not None:
            self._kept.pop((namespace, worker), None)
            return
        for name in [name for name in self._kept if name[0] == namespace]:
            del self._kept[name]

    async def aclose(self) -> None:
        """Give up what is being read."""
        await self._flight.aclose()

    async def _ask(self, name: Name) -> _Kept[T]:
        age = self._age
        kept = await self._answer(name)
        if age == self._age:  # else it may be from before a write
            self._kept.pop(name, None)
            self._kept[name] = kept
            if len(self._kept) > MAX_ANSWERS:
                del self._kept[next(iter(self._kept))]
        return kept

    async def _answer(self, name: Name) -> _Kept[T]:
        try:
            return _fresh(await self._read(*name))
        except SluiceError as error:
            if error.reason in _NOT_FOUND:
                return _fresh(error)
            kept, now = self._kept.get(name), monotonic()
            if kept is None or kept.stale_until <= now:
                raise
            _log.warning("registry: %s; going by what it said last of %s/%s", error, *name)
            return kept._replace(until=now + TTL)


def _fresh(answer: T | SluiceError) -> _Kept[T]:
    until = monotonic() + TTL
    return _Kept(until, until + STALE, answer)
