"""How much of RPC results the dispatch Worker holds at once. No I/O.

It reads a result whole, and its heap is everybody's: two results as long as they may be, at once,
would end the requests of all customers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from sluice.wire.body import Body
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response

MAX_RESULT = 32 * 1024 * 1024
"""Most bytes of one result, as in the original."""


class RpcResults:
    """Counts bytes of results, from when they come until the dispatch Worker's response is over.

    `total` is the most bytes of all, and half of it that of one user Worker.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._each = total // 2
        self._taken = 0
        self._taken_by: Counter[Customer] = Counter()
        self._taken_in: dict[str, Counter[Customer]] = {}

    def begin(self, invocation: str) -> None:
        """An invocation of the dispatch Worker begins. `end` ends it in every case."""
        self._taken_in[invocation] = Counter()

    def end(self, invocation: str) -> None:
        """It is over, and what it has read is no longer held."""
        for customer, size in self._taken_in.pop(invocation, Counter()).items():
            self._give(customer, size)

    async def bound(self, invocation: str, customer: Customer, result: Response) -> Response:
        """`result`, its body counted. Raises `LOAD_SHED` where it says that it is too long by now.

        Where there is no such invocation any more, it is counted until it is read.
        """
        counter = self._taken_in.get(invocation, Counter[Customer]())
        if invocation not in self._taken_in:
            result.watch(lambda _: self._give(customer, counter[customer]))
        try:
            said = result.content_length
            if said is not None:
                self.take(counter, customer, said)
            else:
                result.body = _Counted(result.body, self, counter, customer)
        except SluiceError:
            await result.aclose()
            raise
        return result

    def take(self, counter: Counter[Customer], customer: Customer, size: int) -> None:
        """Count bytes. Raises `LOAD_SHED`, or `BODY_TOO_LARGE` for what could never be held."""
        if size > MAX_RESULT:
            raise SluiceError(
                Reason.BODY_TOO_LARGE,
                "Serialized RPC arguments or return values are limited to 32MiB, "
                f"but the size of this value was: {size} bytes.",
            )
        if self._taken + size > self._total or self._taken_by[customer] + size > self._each:
            raise SluiceError(
                Reason.LOAD_SHED,
                f"RPC results of {self._taken_by[customer]} bytes of {customer.worker} are held, "
                f"{self._taken} of all; {size} more are too many",
            )
        self._taken += size
        self._taken_by[customer] += size
        counter[customer] += size

    def _give(self, customer: Customer, size: int) -> None:
        self._taken -= size
        self._taken_by[customer] -= size
        if not self._taken_by[customer]:
            del self._taken_by[customer]


class _Counted:
    """A body whose length nobody has said."""

    __slots__ = ("_body", "_counter", "_customer", "_results")

    def __init__(
        self, body: Body, results: RpcResults, counter: Counter[Customer], customer: Customer
    ) -> None:
        self._body = body
        self._results = results
        self._counter = counter
        self._customer = customer

    def take(self) -> tuple[bytes, bool]:
        """Nothing is at hand: what comes is counted, and counting may fail."""
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes. Raises `LOAD_SHED`."""
        data, complete = self._body.take()
        if data:
            self._results.take(self._counter, self._customer, len(data))
            yield data
        if complete:
            return
        async for chunk in self._body:
            self._results.take(self._counter, self._customer, len(chunk))
            yield chunk

    async def aclose(self) -> None:
        """Close the body."""
        await self._body.aclose()
