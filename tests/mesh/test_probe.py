"""A container's health check tells a service that serves from one that does not."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import pytest

from sluice.mesh import probe
from sluice.mesh.env import Address


async def run(*arguments: str) -> tuple[int | None, str]:
    """Run the command. Returns its exit code and what it wrote to standard error."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sluice.mesh.probe", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_a_serving_service_passes(serve: Any) -> None:
    """Exit code 0 and not a word: Docker keeps what a health check prints."""
    peer = await serve(None)
    assert await run(str(peer.address)) == (0, "")


async def test_a_draining_service_fails(serve: Any) -> None:
    """A service that says it does not serve fails the check, with its own word for why."""
    peer = await serve(None)
    peer.server.set_serving(False)
    assert await run(str(peer.address)) == (1, f"{peer.address}: NOT_SERVING\n")


async def test_a_port_where_nobody_listens_fails() -> None:
    """A refused connection is an answer: no, at once."""
    with socket.socket() as taken:  # bound but not listening, so that nobody else can either
        taken.bind(("127.0.0.1", 0))
        status = await probe.ask(Address(*taken.getsockname()))
    assert status.startswith("UNAVAILABLE: ")


async def test_a_silent_peer_fails_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that accepts and says nothing is given up after the timeout."""
    monkeypatch.setattr(probe, "TIMEOUT", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        status = await probe.ask(Address(*silent.getsockname()))
    assert status.startswith("DEADLINE_EXCEEDED: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],  # nothing to probe
        ["50051"],  # a port alone names no host
        ["127.0.0.1:50051", "127.0.0.1:50052"],  # one at a time: one exit code
    ],
)
def test_a_wrong_command_line_says_what_is_right(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the usage, never a check that passes by accident."""
    assert probe.main(arguments) == 2
    assert capsys.readouterr().err == "usage: python -m sluice.mesh.probe HOST:PORT\n"
