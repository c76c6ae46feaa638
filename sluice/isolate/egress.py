"""What comes out of an isolate: whose it is, and whether it may go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sluice.http1.server import Exchange
from sluice.isolate import control
from sluice.isolate.capacity import Capacity
from sluice.isolate.invocation import Invocation
from sluice.isolate.isolate import Isolate
from sluice.wire.bounded import bound, bound_response
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from sluice.wire.places import Bounds, Places

_TURN = 0.1  # seconds that a subrequest waits for the one before it, where its isolate stands back

Detail = TypeVar("Detail")
OnSubrequest = Callable[[Invocation[Detail], Exchange], Awaitable[Response]]


class Egress(Generic[Detail]):
    """Serves isolates' subrequests by `on_subrequest`, within the limits of each invocation."""

    def __init__(self, capacity: Capacity, on_subrequest: OnSubrequest[Detail]) -> None:
        self._capacity = capacity
        self._on_subrequest = on_subrequest
        self._connecting: Places[Invocation[Detail]] = Places(
            Bounds(each=capacity.connections, wait=capacity.connection_wait),
            Reason.EXCEEDED_CONNECTIONS,
            "connections",
        )
        self._turns: Places[Isolate] = Places(
            Bounds(each=1, wait=_TURN), Reason.EXCEEDED_CONNECTIONS, "turns"
        )

    async def serve(self, isolate: Isolate, exchange: Exchange) -> Response:
        """Serve a subrequest. Raises `SluiceError` where there is no response."""
        invocation = isolate.invocations.find(exchange.control.get(control.TOKEN))
        if invocation is None:
            raise SluiceError(
                Reason.DESTINATION_PROHIBITED,
                "This Worker is not permitted to access the internet outside of a request.",
            )
        if exchange.upgrade is not None:
            raise SluiceError(
                Reason.NOT_SUPPORTED, f"upgrade to {exchange.upgrade!r} is not carried"
            )
        isolate.invocations.shows(invocation)
        self._count(invocation)
        isolate.cpu.subrequest()
        bound(exchange.request, self._capacity.request_body, "request's body")
        invocation.open_subrequests += 1

        def closed(_: object) -> None:
            invocation.open_subrequests -= 1

        try:
            response = await self._answer(isolate, invocation, exchange)
        except BaseException:
            closed(None)
            raise
        response.watch(closed)
        return response

    def _count(self, invocation: Invocation[Detail]) -> None:
        invocation.subrequests += 1
        if invocation.subrequests > invocation.limits.subrequests:
            raise SluiceError(
                Reason.EXCEEDED_SUBREQUESTS,
                f"the invocation made more than {invocation.limits.subrequests} subrequests",
            )
        if invocation.open_subrequests >= self._capacity.open_subrequests:
            raise SluiceError(
                Reason.EXCEEDED_CONNECTIONS,
                f"the invocation has {invocation.open_subrequests} subrequests open",
            )

    async def _answer(
        self, isolate: Isolate, invocation: Invocation[Detail], exchange: Exchange
    ) -> Response:
        await self._connecting.take(invocation)
        has_turn = await self._take_turn(isolate)
        try:
            response = await self._on_subrequest(invocation, exchange)
        finally:
            if has_turn:
                self._turns.give(isolate)
            self._connecting.give(invocation)
        return await bound_response(response, self._capacity.response_body)

    async def _take_turn(self, isolate: Isolate) -> bool:
        """Wait until no other subrequest of an isolate that stands back is on its way, or so long.

        Its process has what others leave of the cores, but the services do not know whom they work
        for: six of its subrequests at once would keep three processes busy.
        """
        if not isolate.stands_back:
            return False
        try:
            await self._turns.take(isolate)
        except SluiceError:
            return False  # A slow origin is no work for anybody.
        return True
