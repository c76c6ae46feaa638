"""Every HTTP library leaves by the same way, with the token of its request, and no other way out."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from sluice.http1.server import Exchange
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Response
from sluice.wire.websocket import Message
from tests.isolate.python.conftest import StartGuest
from tests.isolate.python.guest import HTTPX, REQUESTS, Guest, Subrequest

SOURCE = """
import asyncio, http.client, json, socket, smtplib, ssl, urllib.error, urllib.request
import aiohttp, httpx, requests
import urllib3
import workers
from workers import Response

HEADERS = {"x-mine": "1", "X-Sluice-Token": "forged", "x-sluice-get": "forged"}

async def workers_fetch(method, url, data):
    answer = await workers.fetch(url, method=method, body=data, headers=HEADERS)
    return answer.status, await answer.text()

def urllib_request(method, url, data):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, data, HEADERS, method=method))
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.read().decode()

def http_client(method, url, data):
    parts = urllib.request.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc)
    target = parts.path + ("?" + parts.query if parts.query else "")
    connection.request(method, target, data, HEADERS)
    answer = connection.getresponse()
    if answer.status in (301, 302):
        return http_client("GET", answer.headers["location"], None)
    return answer.status, answer.read().decode()

def urllib3_pool(method, url, data):
    answer = urllib3.request(method, url, body=data, headers=HEADERS)
    return answer.status, answer.data.decode()

def requests_(method, url, data):
    answer = requests.request(method, url, data=data, headers=HEADERS)
    return answer.status_code, answer.text

def requests_stream(method, url, data):
    sent = iter([data]) if data else None
    with requests.request(method, url, data=sent, headers=HEADERS, stream=True) as answer:
        return answer.status_code, b"".join(answer.iter_content(7)).decode()

def httpx_(method, url, data):
    answer = httpx.request(method, url, content=data, headers=HEADERS, follow_redirects=True)
    return answer.status_code, answer.text

async def httpx_async(method, url, data):
    async with httpx.AsyncClient(follow_redirects=True) as client:
        answer = await client.request(method, url, content=data, headers=HEADERS)
        return answer.status_code, answer.text

async def httpx_stream(method, url, data):
    async def parts():
        yield data
    async with httpx.AsyncClient(follow_redirects=True) as client:
        sent = parts() if data else None
        async with client.stream(method, url, content=sent, headers=HEADERS) as answer:
            return answer.status_code, (await answer.aread()).decode()

async def aiohttp_(method, url, data):
    async with aiohttp.ClientSession() as session:
        async with session.request(method, url, data=data, headers=HEADERS) as answer:
            return answer.status, await answer.text()

async def aiohttp_tcp(method, url, data):
    connector = aiohttp.TCPConnector(limit=1, ssl=ssl.create_default_context())
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.request(method, url, data=data, headers=HEADERS) as answer:
            return answer.status, await answer.text()

async def on_fetch(request):
    name, method, url, data = json.loads(await request.text())
    try:
        result = globals()[name](method, url, data and data.encode())
        return Response.json(await result if asyncio.iscoroutine(result) else result)
    except Exception as error:
        return Response.json([type(error).__name__, str(error)])
"""
ALL = re.findall(r"^(?:async )?def (\w+)\(method", SOURCE, re.MULTILINE)


@pytest.fixture
async def guest(start: StartGuest) -> Guest:
    """A Worker that asks by the library it is told."""
    return await start(SOURCE, packages=(*REQUESTS, *HTTPX))


async def _ask(
    guest: Guest, library: str, method: str, url: str, data: str | None = None
) -> tuple[object, str]:
    body = json.dumps([library, method, url, data]).encode()
    reply = await guest.fetch(method="POST", body=body, token=f"of {library}")
    assert reply.error is None
    status, text = json.loads(reply.body)
    return status, text


def _is_well_told(sub: Subrequest, library: str) -> bool:
    """Whether it has the token of its request, and no control header of the Worker's."""
    return sub.token == f"of {library}" and sub.chosen is None and ("x-mine", "1") in sub.headers


async def test_each_library_leaves_by_the_egress(guest: Guest) -> None:
    """GET and POST, http and https, ports and queries come out as absolute URLs with the token."""
    for library in ALL:
        guest.subrequests.clear()
        for method, url, data in (
            ("GET", "http://origin.test/a%2Fb?q=%20x&y=a+b", None),
            ("POST", "https://origin.test:8443/", "data \u00e9"),
            ("PUT", "https://origin.test/", "x"),
        ):
            assert await _ask(guest, library, method, url, data) == (200, f"for of {library}")
            sub = guest.subrequests[-1]
            said = (library, sub.method, sub.url, sub.body.decode())
            assert said == (library, method, url, data or "")
            assert _is_well_told(sub, library)


async def test_each_redirect_is_a_subrequest(guest: Guest) -> None:
    """A library that follows redirects asks the egress for each."""

    async def answer(exchange: Exchange, _: bytes) -> Response:
        if exchange.request.url.startswith("http://a.test"):
            return Response(302, [("location", b"https://b.test/end")])
        return Response(200, body=Whole(b"end"))

    guest.answer = answer
    for library in ALL:
        guest.subrequests.clear()
        result = await _ask(guest, library, "GET", "http://a.test/")
        assert result == (200, "end")
        assert [sub.url for sub in guest.subrequests] == ["http://a.test/", "https://b.test/end"]
        assert all(_is_well_told(sub, library) for sub in guest.subrequests)


async def test_a_refusal_is_raised(guest: Guest) -> None:
    """What the host says instead of a response is an exception with its words, in each library."""

    async def answer(_: Exchange, __: bytes) -> Response:
        raise SluiceError(Reason.DESTINATION_PROHIBITED, "not there")

    guest.answer = answer
    for library in ALL:
        name, text = await _ask(guest, library, "GET", "http://10.0.0.1/")
        assert isinstance(name, str)
        assert "not there" in text, (library, name, text)


REFUSED = {
    "socket": 'import socket; socket.create_connection(("example.com", 80))',
    "inet socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "default socket": "import socket; socket.socket()",
    "udp": "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
    "name": 'import socket; socket.getaddrinfo("example.com", 80)',
    "mail": 'import smtplib; smtplib.SMTP("mail.example.com")',
    "ftp": 'import urllib.request; urllib.request.urlopen("ftp://example.com/")',
    "asyncio": 'import asyncio; await asyncio.open_connection("example.com", 80)',
}


async def test_only_http_leaves(start: StartGuest) -> None:
    """Whatever opens another connection fails with words that say what to use."""
    cases = "".join(f"    async def way_{i}(): {REFUSED[k]}\n" for i, k in enumerate(REFUSED))
    source = (
        "from workers import Response\n"
        f"async def on_fetch(request):\n{cases}"
        "    try:\n        await locals()[request.url[14:]]()\n"
        "    except OSError as error:\n        return Response(str(error))\n"
    )
    guest = await start(source)
    for number, way in enumerate(REFUSED):
        reply = await guest.fetch(f"http://w.test/way_{number}")
        assert "only HTTP requests leave it" in reply.text, (way, reply)


async def test_a_proxy_is_refused(start: StartGuest) -> None:
    """A tunnel through a proxy of the Worker's choice fails with words."""
    guest = await start(
        "import http.client\nfrom workers import Response\n"
        "def on_fetch(request):\n"
        "    connection = http.client.HTTPSConnection('proxy.test')\n"
        "    try:\n        connection.set_tunnel('origin.test')\n"
        "    except OSError as error:\n        return Response(str(error))\n"
    )
    assert "cannot ask a proxy" in (await guest.fetch()).text


class Echo:
    """An origin's WebSocket, which sends back what it gets."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()

    async def receive(self) -> Message | None:
        return await self._queue.get()

    async def send(self, message: Message) -> None:
        self._queue.put_nowait(message)

    async def aclose(self) -> None:
        self._queue.put_nowait(None)


@pytest.mark.parametrize("scheme", ["ws", "wss", "https"])
async def test_a_websocket_by_aiohttp(start: StartGuest, scheme: str) -> None:
    """Aiohttp's WebSocket to an origin is a subrequest, and carries messages both ways."""
    guest = await start(
        "import aiohttp\nfrom workers import Response\n"
        "async def on_fetch(request):\n"
        "    async with aiohttp.ClientSession() as session:\n"
        f"        async with session.ws_connect('{scheme}://origin.test/chat') as socket:\n"
        "            await socket.send_str('text')\n"
        "            await socket.send_bytes(b'data')\n"
        "            return Response(f'{await socket.receive_str()} {await socket.receive_bytes()}')\n"
    )

    async def answer(exchange: Exchange, _: bytes) -> Response:
        assert exchange.request.websocket
        return Response(101, websocket=Echo())

    guest.answer = answer
    assert (await guest.fetch(token="mine")).text == "text b'data'"
    sub = guest.subrequests[0]
    assert (sub.token, sub.url) == ("mine", scheme.replace("ws", "http") + "://origin.test/chat")
