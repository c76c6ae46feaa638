"""Methods are found by their paths, however they were added, and run in the shape that they have."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import empty_pb2, wrappers_pb2

from sluice.rpc.method import Methods
from tests.rpc.peers import HOST, SERVICE, Ours, Shapes, calling, our_server, pair, path


def test_find() -> None:
    """A method is found by its whole path, added by name or by what finds it; else there is none."""
    shapes = Shapes()
    handler = grpc.unary_unary_rpc_method_handler(shapes.unary)
    named, generic = Methods(), Methods()
    named.add(SERVICE, {"unary": handler})
    generic.add_generic((grpc.method_handlers_generic_handler(SERVICE, {"unary": handler}),))
    for methods in (named, generic):
        for _ in range(2):  # what was found once is known
            method = methods.find(path("unary").encode())
            assert method is not None
            assert (method.name, method.handler) == (f"{SERVICE}/unary", handler)
        for other in (
            b"",
            b"/",
            b"/unary",
            path("unary").encode()[1:],
            path("x").encode(),
            b"\xff",
        ):
            assert methods.find(other) is None
    assert len(generic._known) == 1  # what is not there is not remembered


async def test_messages() -> None:
    """What is no message of the method is told apart from what the method raises."""

    async def echo(request: wrappers_pb2.StringValue, _: Any) -> wrappers_pb2.StringValue:
        return request

    server = our_server()
    handler = grpc.unary_unary_rpc_method_handler(
        echo, wrappers_pb2.StringValue.FromString, wrappers_pb2.StringValue.SerializeToString
    )
    server.add_registered_method_handlers(SERVICE, {"echo": handler})
    port = await server.start(HOST, 0)
    async with calling("ours", port) as client:
        sent = wrappers_pb2.StringValue(value="x").SerializeToString()
        assert (await client.call("echo", sent)).messages == [sent]
        assert (await client.call("echo", empty_pb2.Empty().SerializeToString())).messages == [b""]
        got = await client.call("echo", b"\xff" * 10)
        assert "UnreadableError" in got.details
    await server.stop(1)


async def test_a_generator_ends_with_its_call() -> None:
    """What answers by a generator has put away its things when the call is over, not later."""
    order = []

    async def answers(_: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(50_000)
        finally:
            await asyncio.sleep(0)
            order.append("put away")

    server = our_server()
    handler = grpc.unary_stream_rpc_method_handler(answers)
    server.add_registered_method_handlers(SERVICE, {"answers": handler})
    port = await server.start(HOST, 0)
    async with calling("ours", port) as client:
        assert isinstance(client, Ours)
        call = await client.link.call(path("answers"), (), b"", whole=True)
        assert await call.read()
        (task,) = server._tasks
        task.add_done_callback(lambda _: order.append("over"))
        call.cancel()
        await asyncio.wait([task])
    await server.stop(1)
    assert order == ["put away", "over"]


async def test_requests_that_nobody_reads_to_the_end() -> None:
    """A method that leaves its requests leaves nothing that the loop has to close."""
    async with pair("ours", "ours") as (client, _):
        gc.collect()
        before = asyncio.all_tasks()
        for _ in range(5):
            assert (await client.call("early", b"a", b"b")).messages == [b"a"]
        assert asyncio.all_tasks() == before
