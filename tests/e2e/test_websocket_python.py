"""WebSockets through chains in which some Workers are in Python, and some in JavaScript."""

from __future__ import annotations

import pytest

from sluice.pb import worker_pb2
from tests.e2e.languages import COMBINATIONS, JAVASCRIPT, Language, Languages
from tests.e2e.mesh import Mesh
from tests.e2e.test_websocket import ECHO, THROUGH, Sockets, closed, expected, listening, opened
from tests.e2e.twin import dispatching, twin

MIXED = [languages for languages in COMBINATIONS if languages != JAVASCRIPT]

ECHO_IN_PYTHON = """
from workers import Response, WebSocketPair
def on_fetch(request):
    client, server = WebSocketPair.new().object_values()
    server.accept()
    def hear(event):
        if isinstance(event.data, str) and event.data.startswith("close "):
            code = event.data.removeprefix("close ")
            server.close(int(code), "as told") if code else server.close()
        else:
            server.send(event.data)
    server.addEventListener("message", hear)
    return Response(None, status=101, web_socket=client)
"""
THROUGH_IN_PYTHON = """
from workers import fetch
async def on_fetch(request): return await fetch("{url}", headers=request.headers)
"""
SOURCES = {
    (Language.JAVASCRIPT, "echo"): ECHO,
    (Language.JAVASCRIPT, "through"): THROUGH,
    (Language.PYTHON, "echo"): ECHO_IN_PYTHON,
    (Language.PYTHON, "through"): THROUGH_IN_PYTHON,
}
_KINDS = {
    Language.JAVASCRIPT: worker_pb2.Module.KIND_ES_MODULE,
    Language.PYTHON: worker_pb2.Module.KIND_PYTHON,
}


def _bundle(source: str, language: Language) -> worker_pb2.Bundle:
    main = f"worker.{language}"
    bundle = worker_pb2.Bundle(main_module=main, compatibility_date="2026-01-01")
    bundle.modules.add(name=main, kind=_KINDS[language], content=source.encode())
    return bundle


async def _deploy(mesh: Mesh, sockets: Sockets, languages: Languages) -> None:
    """A dispatch Worker, an Outbound Worker that passes on, and two user Workers."""
    await mesh.deploy("dispatch", dispatching(twin("by_host", languages.dispatch)))
    await mesh.deploy("outbound", twin("tags", languages.outbound))
    for name in ("echo", "through"):
        source = SOURCES[languages.user, name].replace("{url}", sockets.url)
        await mesh.deploy(name, _bundle(source, languages.user), "production")


@pytest.mark.parametrize("languages", MIXED, ids=str)
async def test_messages_and_closes_cross(mesh: Mesh, languages: Languages) -> None:
    """Messages come back whole; each end's code and reason reach the other."""
    async with listening() as sockets:
        await _deploy(mesh, sockets, languages)
        for name in ("echo", "through"):
            client = await opened(mesh, name)
            for message in ("\u00e4\u20ac", b"\0\xff" * 2**19, "", "x" * 2**20):
                await client.send(message)
                assert await client.recv() == message
            client.protocol.send_close(4999, "\u00fcn\u00ef")
            client.send_data()
            assert await closed(client) == (4999, "\u00fcn\u00ef")
            if name == "through":
                assert await sockets.end() == (4999, "\u00fcn\u00ef")
            for code in (1000, 1011, 3000, None):
                client = await opened(mesh, name)
                await client.send(f"close {code or ''}")
                assert await closed(client) == expected(code, "as told")
                if name == "through":
                    assert await sockets.end() == expected(code, "as told")


@pytest.mark.parametrize("languages", MIXED, ids=str)
async def test_ends_that_vanish(mesh: Mesh, languages: Languages) -> None:
    """The other end is reset: no Worker on the way makes a close of it."""
    async with listening() as sockets:
        await _deploy(mesh, sockets, languages)
        client = await opened(mesh, "through")
        await client.send("x")
        assert await client.recv() == "x"
        client.transport.abort()
        assert await sockets.end() == (1006, "")
        client = await opened(mesh, "through")
        await client.send("vanish")
        assert await closed(client) == (1006, "")
        client = await opened(mesh, "through")
        await client.send(b"x" * (2**20 + 1))
        code, reason = await closed(client)
        assert (code, "1048576" in reason) == (1009, True)
        assert await sockets.end() == (1006, "")
