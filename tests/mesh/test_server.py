"""A server listens where it may, says how it is, and stops as it is told."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sluice.mesh.env import Address, SettingError
from sluice.mesh.server import GrpcServer
from sluice.pb import userworker_pb2


class Blocking:
    """A servicer that has begun, and goes on when it is let go."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, _: Any, context: Any) -> None:
        """Serve a call."""
        self.began.set()
        await self.go_on.wait()
        await context.write(userworker_pb2.InvokeResponse(body=b"done"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "userworker"])
def test_plaintext_only_on_loopback(host: str) -> None:
    """An address that others can reach is refused, unless the danger is accepted by name."""
    with pytest.raises(SettingError, match=r"^SLUICE_UNSAFE_PLAINTEXT: .*:50052"):
        GrpcServer(Address(host, 50052), allow_plaintext=False)
    GrpcServer(Address(host, 50052), allow_plaintext=True)


async def test_a_taken_port_is_an_error(serve: Any) -> None:
    """Two servers never share a port; the second one's error names it."""
    peer = await serve(Blocking())
    second = GrpcServer(peer.address, allow_plaintext=False)
    with pytest.raises(SettingError, match=f"cannot listen on {peer.address}"):
        await second.start()
    await second.stop(0)


async def test_reflection_lists_every_service(serve: Any) -> None:
    """A client that knows nothing (grpcurl) finds the services, and their messages."""
    peer = await serve(Blocking())
    stub = reflection_pb2_grpc.ServerReflectionStub(peer.channel)
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    listed = {service.name for service in (await call.read()).list_services_response.service}
    assert listed == {
        "sluice.v1.UserWorkerService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    for name in listed:
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=name))
        assert (await call.read()).file_descriptor_response.file_descriptor_proto
    await call.done_writing()


async def test_a_drain_lets_calls_finish(serve: Any) -> None:
    """Calls in flight finish within the grace, and new ones are not accepted."""
    block = Blocking()
    peer = await serve(block)
    answer = asyncio.create_task(peer.invoke())
    await block.began.wait()
    drain = asyncio.create_task(peer.server.stop(60))
    watch = peer.channel.get_state()
    while watch is grpc.ChannelConnectivity.READY:  # until the server has said that it goes away
        await peer.channel.wait_for_state_change(watch)
        watch = peer.channel.get_state()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await peer.invoke()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    block.go_on.set()
    assert [message.body for message in await answer] == [b"done"]
    await drain


async def test_the_grace_ends(serve: Any) -> None:
    """A call that outlives the grace is cancelled; its caller gets an error, no clean end."""
    block = Blocking()
    peer = await serve(block)
    answer = asyncio.create_task(peer.invoke())
    await block.began.wait()
    await peer.server.stop(0.05)
    with pytest.raises(grpc.aio.AioRpcError):
        await answer


async def test_cancelling_a_drain_ends_its_grace(serve: Any) -> None:
    """A drain that is cancelled cancels the calls in flight instead of leaving them."""
    block = Blocking()
    peer = await serve(block)
    answer = asyncio.create_task(peer.invoke())
    await block.began.wait()
    drain = asyncio.create_task(peer.server.stop(60))
    await asyncio.sleep(0)
    drain.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drain
    with pytest.raises(grpc.aio.AioRpcError):
        await answer


async def test_stopping_twice_and_before_the_start(serve: Any) -> None:
    """Whoever cleans up need not know how far it came."""
    await GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False).stop(1)
    peer = await serve(Blocking())
    await peer.server.stop(1)
    await peer.server.stop(1)


SERVICE = """
import asyncio, sys
import uvloop
from sluice.mesh.server import run_until_signalled

def say(word):
    print(word, flush=True)

async def start():
    say("start")
    if "slow-start" in sys.argv: await asyncio.Event().wait()
    if "bad-start" in sys.argv: raise RuntimeError("bad start")
    say("started")

async def stop():
    say("stop")
    try:
        if "slow-stop" in sys.argv: await asyncio.Event().wait()
        say("drained")
    finally:
        say("end")

run = uvloop.run if "uvloop" in sys.argv else asyncio.run
sys.exit(run(run_until_signalled(start, stop)))
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("options", "steps", "code"),
    [
        # what it says, and the signal sent when it has said so
        ([], {"start": 0, "started": signal.SIGTERM, "stop": 0, "drained": 0, "end": 0}, 0),
        ([], {"start": 0, "started": signal.SIGINT, "stop": 0, "drained": 0, "end": 0}, 0),
        (["slow-start"], {"start": signal.SIGTERM, "stop": 0, "drained": 0, "end": 0}, 0),
        (
            ["slow-stop"],
            {"start": 0, "started": signal.SIGTERM, "stop": signal.SIGINT, "end": 0},
            1,
        ),
        (["bad-start"], {"start": 0, "stop": 0, "drained": 0, "end": 0}, 1),
    ],
    ids=["SIGTERM", "SIGINT", "while starting", "twice", "start fails"],
)
async def test_signals(loop: str, options: list[str], steps: dict[str, int], code: int) -> None:
    """A first signal drains, a second one forces; what was begun is always stopped."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE, loop, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    for word, number in steps.items():
        assert (await process.stdout.readline()).decode().strip() == word
        if number:
            process.send_signal(number)
    _, said = await process.communicate()
    assert process.returncode == code
    assert said.decode().rstrip().endswith("RuntimeError: bad start") == ("bad-start" in options)
