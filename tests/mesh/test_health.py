"""`grpc.health.v1` says how each service is, and never holds up the end."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.mesh.health import Health

NAME = "sluice.v1.UserWorkerService"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = (
    health_pb2.HealthCheckResponse.SERVING,
    health_pb2.HealthCheckResponse.NOT_SERVING,
    health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
)


async def idle(_: Any, __: Any) -> None:
    """A servicer that answers with nothing."""


def request(service: str) -> Any:
    """A request for the status of `service`."""
    return health_pb2.HealthCheckRequest(service=service)


async def test_check(serve: Any) -> None:
    """Each service has a status, the server as a whole too, and other names have none."""
    peer = await serve(idle)
    stub = health_pb2_grpc.HealthStub(peer.channel)
    for serving, expected in ((True, SERVING), (False, NOT_SERVING), (True, SERVING)):
        peer.server.set_serving(serving)
        for service in ("", NAME):
            assert (await stub.Check(request(service))).status == expected
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(request("sluice.v1.Nothing"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_list(serve: Any) -> None:
    """All names are listed with their status, those that tell how the server runs among them."""
    peer = await serve(idle)
    peer.server.say("sluice.sandbox.landlock")
    stub = health_pb2_grpc.HealthStub(peer.channel)
    for serving, expected in ((True, SERVING), (False, NOT_SERVING)):
        peer.server.set_serving(serving)
        listed = (await stub.List(health_pb2.HealthListRequest())).statuses
        assert {name: answer.status for name, answer in listed.items()} == dict.fromkeys(
            ["", NAME, "sluice.sandbox.landlock"], expected
        )
    assert (await stub.Check(request("sluice.sandbox.landlock"))).status == NOT_SERVING


async def test_watch(serve: Any) -> None:
    """A watcher is told the status at once, and then every change."""
    peer = await serve(idle)
    watch = health_pb2_grpc.HealthStub(peer.channel).Watch(request(NAME))
    assert (await watch.read()).status == SERVING
    peer.server.set_serving(False)
    assert (await watch.read()).status == NOT_SERVING
    peer.server.set_serving(False)
    peer.server.set_serving(True)
    assert (await watch.read()).status == SERVING


async def test_a_change_during_a_write_is_not_missed() -> None:
    """A watcher that takes its time to read still learns of the drain that began meanwhile."""
    health = Health()
    sent = []

    class Slow:
        """A connection: the server drains while the first status is on its way."""

        async def write(self, response: Any) -> None:
            """Send."""
            sent.append(response.status)
            health.end()

    await health.Watch(request(""), Slow())
    assert sent == [SERVING, NOT_SERVING]


async def test_watchers_do_not_hold_up_a_drain(serve: Any) -> None:
    """A watcher learns of the drain and its call ends, so that the grace is for requests only."""
    peer = await serve(idle)
    stub = health_pb2_grpc.HealthStub(peer.channel)
    known, unknown = stub.Watch(request(NAME)), stub.Watch(request("sluice.v1.Nothing"))
    assert (await known.read()).status == SERVING
    assert (await unknown.read()).status == SERVICE_UNKNOWN
    await peer.server.stop(60)  # as long as the test's own timeout
    assert (await known.read()).status == NOT_SERVING
    for watch in (known, unknown):
        assert await watch.read() is grpc.aio.EOF
        assert await watch.code() is grpc.StatusCode.OK
