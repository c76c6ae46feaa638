"""A peer that is down is known at once, and used again soon after it is back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from sluice.mesh import errors
from sluice.mesh.channel import dial
from sluice.mesh.env import Address
from sluice.pb import userworker_pb2
from sluice.wire.errors import Reason

SERVER = """
import asyncio, sys
from grpc_health.v1 import health_pb2
from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer

async def main():
    server = GrpcServer(Address("127.0.0.1", int(sys.argv[1])), allow_plaintext=False)
    print((await server.start()).port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def running(port: int = 0) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A server process, killed at the end, and its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def check(channel: grpc.aio.Channel) -> grpc.StatusCode:
    """Ask for the peer's health, and return how the call ended."""
    return await channel.unary_unary("/grpc.health.v1.Health/Check")(b"").code()


async def until_connected(channel: grpc.aio.Channel, seconds: float) -> None:
    """Make calls until one goes through; `TimeoutError` if none does in time."""
    async with asyncio.timeout(seconds):
        while await check(channel) is not grpc.StatusCode.OK:
            with contextlib.suppress(TimeoutError):  # the channel may say that it is ready
                async with asyncio.timeout(0.05):
                    await channel.wait_for_state_change(grpc.ChannelConnectivity.TRANSIENT_FAILURE)


async def test_a_peer_that_is_down_fails_at_once() -> None:
    """A call to a port where nobody listens ends without waiting, each time, with its reason."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        async with dial(Address("127.0.0.1", taken.getsockname()[1])) as channel:
            started = time.monotonic()
            for _ in range(5):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary("/x/Y")(b"")
                error = errors.from_rpc(caught.value, "userworker")
                assert error.reason is Reason.SERVICE_UNAVAILABLE
                assert error.message.startswith("userworker: ")
            assert time.monotonic() - started < 5


async def test_a_peer_that_was_killed_is_used_again() -> None:
    """After SIGKILL and a restart on the same port, calls go through within seconds."""
    async with running() as (process, port), dial(Address("127.0.0.1", port)) as channel:
        assert await check(channel) is grpc.StatusCode.OK
        process.kill()
        await process.wait()
        with pytest.raises(TimeoutError):
            await until_connected(channel, seconds=0.3)
        async with running(port):
            await until_connected(channel, seconds=2)


async def test_the_wait_between_attempts_stays_short() -> None:
    """A peer that is down is tried again soon: five times in two seconds, not twice."""
    attempts = 0

    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with dial(Address(host, port)) as channel:
            with pytest.raises(TimeoutError):
                await until_connected(channel, seconds=2)
    assert attempts >= 5


async def test_a_call_in_flight_ends_when_its_peer_is_killed() -> None:
    """A caller that waits for a killed peer is told so by the connection's end."""
    async with running() as (process, port), dial(Address("127.0.0.1", port)) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watch.read()
        process.kill()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch.read()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_no_proxy_of_the_environment(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls between services never go through the machine's HTTP proxy."""

    async def invoke(_: Any, context: Any) -> None:
        await context.write(userworker_pb2.InvokeResponse(body=b"direct"))

    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    peer = await serve(invoke)
    assert [message.body for message in await peer.invoke()] == [b"direct"]


async def test_max_message(serve: Any) -> None:
    """A channel that is told so carries larger messages."""

    async def invoke(request: Any, context: Any) -> None:
        await context.write(userworker_pb2.InvokeResponse(body=b"%d" % len(request.body)))

    peer = await serve(invoke, max_message=8 << 20)
    assert (await peer.invoke(bytes(5_000_000)))[0].body == b"5000000"
