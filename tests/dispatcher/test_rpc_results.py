"""Bytes of RPC results: counted as they come, given back when the dispatch Worker has answered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.dispatcher.rpc_results import MAX_RESULT, RpcResults
from sluice.wire.body import Whole
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from tests.bodies import read_all

ACME, OTHER, THIRD = (Customer("ns", name) for name in ("acme", "other", "third"))


class Streamed(Whole):
    """A body of which nothing is at hand."""

    def take(self) -> tuple[bytes, bool]:
        return b"", False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, _ = super().take()
        for byte in data:
            yield bytes([byte])


def said(size: int) -> Response:
    """A result that says its length."""
    return Response(200, body=Whole(b"x" * size), content_length=size)


async def refused(results: RpcResults, invocation: str, customer: Customer) -> Reason | None:
    """Why one more byte is not taken."""
    try:
        await results.bound(invocation, customer, said(1))
    except SluiceError as error:
        return error.reason
    return None


async def test_shares() -> None:
    """One Worker has half, all together the whole, until the invocations that hold it end."""
    results = RpcResults(8)
    for number in range(4):
        results.begin(f"{number}")
    await results.bound("0", ACME, said(4))
    assert await refused(results, "1", ACME) is Reason.LOAD_SHED
    await results.bound("1", OTHER, said(4))
    assert await refused(results, "2", THIRD) is Reason.LOAD_SHED
    results.end("0")
    assert await refused(results, "2", THIRD) is None
    assert await refused(results, "3", ACME) is None
    for number in range(4):
        results.end(f"{number}")
    results.begin("4")
    await results.bound("4", ACME, said(4))


@pytest.mark.parametrize("body", [Streamed, Whole])
async def test_length_that_nobody_said(body: type[Whole]) -> None:
    """It is counted as it comes, and cut short where it is too much."""
    results = RpcResults(8)
    results.begin("0")
    fits = await results.bound("0", ACME, Response(200, body=body(b"1234")))
    assert await read_all(fits.body, 100) == b"1234"
    more = await results.bound("0", ACME, Response(200, body=body(b"5")))
    with pytest.raises(SluiceError) as raised:
        await read_all(more.body, 100)
    assert raised.value.reason is Reason.LOAD_SHED


async def test_call_after_the_response() -> None:
    """What `waitUntil` work reads is counted until it is read."""
    results = RpcResults(8)
    late = await results.bound("over", ACME, said(4))
    results.begin("0")
    assert await refused(results, "0", ACME) is Reason.LOAD_SHED
    await late.aclose()
    assert await refused(results, "0", ACME) is None


async def test_longer_than_any_may_be() -> None:
    """A result over 32 MiB is refused in workerd's words, whatever is free."""
    results = RpcResults(1 << 40)
    results.begin("0")
    with pytest.raises(SluiceError, match="limited to 32MiB") as raised:
        await results.bound("0", ACME, Response(200, content_length=MAX_RESULT + 1))
    assert raised.value.reason is Reason.BODY_TOO_LARGE
