"""What the resolver is asked, and what it has answered.

aiohttp's own cache is not used. It keeps no failures, and lets a name be looked up once for all who
ask at that moment: all would share the fate of the first, who may have used up its share.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque
from contextvars import ContextVar
from dataclasses import dataclass, field

from aiohttp.abc import AbstractResolver, ResolveResult

from sluice.wire.customer import Customer
from sluice.wire.places import Places

MAX_NAMES = 4096
"""Names whose answers are kept, those that were asked for last."""

MAX_NAME = 255
"""Most bytes of a name (RFC 1035 section 2.3.4)."""

FAILURE_TTL = 5.0
"""Seconds for which it is known that there is no such name, or that it has no address."""

_NO_ADDRESS = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

Name = tuple[str, socket.AddressFamily]

asking: ContextVar[Customer] = ContextVar("asking")
"""For whom a name is looked up. aiohttp calls the resolver and has no place for it."""


@dataclass(slots=True)
class Answer:
    """What the resolver has said."""

    addresses: deque[ResolveResult] = field(default_factory=deque)
    failure: OSError | None = None
    expires: float = 0

    def given(self, port: int) -> list[ResolveResult]:
        """The addresses, at each time with another one first, or the failure raised."""
        if self.failure is not None:
            raise type(self.failure)(*self.failure.args)
        found = [ResolveResult(**{**address, "port": port}) for address in self.addresses]
        self.addresses.rotate(-1)
        return found


class Names(AbstractResolver):
    """Answers of `resolver`, for whom `asking` says, from memory where they are not too old.

    What is connected to is checked then, whatever was answered here and when.
    """

    def __init__(
        self, resolver: AbstractResolver, places: Places[Customer], *, timeout: float, ttl: float
    ) -> None:
        self._resolver = resolver
        self._places = places
        self._timeout = timeout
        self._ttl = ttl
        self._answers: OrderedDict[Name, Answer] = OrderedDict()
        self._lookups: dict[Name, asyncio.Task[Answer]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`. Raises `OSError` where there are none, or none in time.

        Raises `LOAD_SHED` where its Worker has too many lookups under way.
        """
        if len(host) > MAX_NAME:
            raise socket.gaierror(socket.EAI_NONAME, "the name is too long")
        name = host, family
        answer = self._kept(name) or await self._ask(name)
        return answer.given(port)

    def _kept(self, name: Name) -> Answer | None:
        answer = self._answers.get(name)
        if answer is None or answer.expires <= asyncio.get_running_loop().time():
            return None
        self._answers.move_to_end(name)
        return answer

    async def _ask(self, name: Name) -> Answer:
        deadline = asyncio.get_running_loop().time() + self._timeout
        lookup = self._lookups.get(name)
        if lookup is None:
            customer = asking.get()
            # Only a lookup that is under way is shared: nobody waits for another's turn.
            await self._places.take(customer)
            answer, lookup = self._kept(name), self._lookups.get(name)
            if answer or lookup:
                self._places.give(customer)
            if answer:
                return answer
            lookup = lookup or self._begin(name, customer)
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.shield(lookup)
        except TimeoutError as error:
            raise socket.gaierror(
                socket.EAI_AGAIN, f"no answer within {self._timeout:g} s"
            ) from error

    def _begin(self, name: Name, customer: Customer) -> asyncio.Task[Answer]:
        lookup = asyncio.get_running_loop().create_task(self._look_up(name, customer))
        self._lookups[name] = lookup
        return lookup

    async def _look_up(self, name: Name, customer: Customer) -> Answer:
        """Ask the resolver. The place is taken until it has answered, whoever still waits."""
        answer, ttl = Answer(), self._ttl
        try:
            answer.addresses.extend(await self._resolver.resolve(name[0], 0, name[1]))
        except OSError as error:
            answer.failure = error
            ttl = FAILURE_TTL if error.errno in _NO_ADDRESS else 0
        finally:
            self._places.give(customer)
            del self._lookups[name]
        if ttl:
            self._keep(name, answer, ttl)
        return answer

    def _keep(self, name: Name, answer: Answer, ttl: float) -> None:
        answer.expires = asyncio.get_running_loop().time() + ttl
        self._answers[name] = answer
        self._answers.move_to_end(name)
        if len(self._answers) > MAX_NAMES:
            self._answers.popitem(last=False)

    async def close(self) -> None:
        """Give up what is under way."""
        lookups = list(self._lookups.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)
        await self._resolver.close()
