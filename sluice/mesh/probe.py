"""`python -m sluice.mesh.probe HOST:PORT`: ask a service how it is, as a container's health check.

With `SLUICE_TLS_CERT` and so on, by mTLS, as the service's own role: the probe runs beside it.

Exit code 0 where it serves, 1 where it does not or does not answer, 2 for a wrong command line.
"""

from __future__ import annotations

import asyncio
import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sluice.mesh import tls
from sluice.mesh.channel import dial
from sluice.mesh.env import Address, Environment, SettingError
from sluice.mesh.tls import Credentials

TIMEOUT = 3.0
"""How long a service has to answer, in seconds."""


async def ask(address: Address, credentials: Credentials | None = None) -> str:
    """What `grpc.health.v1` at `address` says of the server as a whole, such as `SERVING`.

    Where it does not answer: the gRPC status code and what is known about it.
    """
    role = credentials.role if credentials else None
    async with dial(address, role, credentials) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(arguments: list[str]) -> int:
    """Probe the one address in `arguments`. Returns the exit code."""
    try:
        (text,) = arguments
        address = Environment({"SLUICE_ADDRESS": text}).address("ADDRESS", None)
    except (ValueError, SettingError):
        print("usage: python -m sluice.mesh.probe HOST:PORT", file=sys.stderr)
        return 2
    try:
        credentials = tls.read(Environment(os.environ))
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    status = asyncio.run(ask(address, credentials))
    if status == "SERVING":
        return 0
    print(f"{address}: {status}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
