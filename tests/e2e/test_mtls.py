"""The mesh with certificates of `sluice certs`: as without, and closed to whoever has none."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from sluice.mesh.channel import dial
from sluice.mesh.roles import Role
from sluice.pb import http_pb2, userworker_pb2, userworker_pb2_grpc, worker_pb2
from tests.certificates import tls_variables
from tests.e2e.chain import Chain
from tests.e2e.languages import JAVASCRIPT, PYTHON, Languages
from tests.e2e.mesh import SERVICES, Mesh, running
from tests.e2e.origin import Origin


@pytest.mark.parametrize("languages", [JAVASCRIPT, PYTHON], ids=str, indirect=True, scope="session")
async def test_a_request_goes_through_all_three_services(
    short_folder: Path, certificates: Path, origin: Origin, languages: Languages
) -> None:
    """Dispatch, Invoke, bundles and OutboundFetch, each by mTLS; logs and `sluice invoke` too."""
    async with running(short_folder, certificates, SLUICE_ALLOW_ADDRESS="127.0.0.1/32") as mesh:
        chain = Chain(mesh, languages)
        await chain.usual()
        await chain.user("sends_on")
        status, text = await chain.get(x_url=f"{origin.url}/seen")
        assert status == 200, text
        (seen,) = origin.received
        assert seen.headers["x-customer"] == "acme"

        head = http_pb2.HttpRequestHead(method="GET", url="http://acme.example.com/")
        head.headers.add(name="x-url", value=f"{origin.url}/again".encode())
        worker = worker_pb2.Worker(dispatch_namespace="production", name="acme")
        request = userworker_pb2.InvokeRequest(
            invocation=userworker_pb2.Invocation(worker=worker), head=head
        )
        async with mesh.dial("userworker", Role.DISPATCHER) as channel:
            stub = userworker_pb2_grpc.UserWorkerServiceStub(channel)
            answers = [answer async for answer in stub.Invoke(request, timeout=20)]
        assert answers[0].head.status == 200

        for name in SERVICES:
            async with dial(mesh.grpc[name]) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_service_does_not_start_with_anothers_certificate(
    short_folder: Path, certificates: Path
) -> None:
    """Certificates that were mixed up are found at the start, by the variable's name."""
    mesh = Mesh(short_folder, **tls_variables(certificates, Role.USERWORKER))
    service = mesh.services["outbound"]
    await service.start()
    assert await service.wait() == 2
    (line,) = service.lines
    assert line["raw"].startswith("outbound: SLUICE_TLS_CERT: ")
    assert "is of the role userworker, not outbound" in line["raw"]
