"""Hostile origins, through a real mesh: what they answer decides nothing, and ends in a reason."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.e2e.mesh import Mesh

FETCHER = """export default { async fetch(request) {
  const { url, ...init } = JSON.parse(request.headers.get('x-ask'));
  try {
    const response = await fetch(url, init);
    const text = await response.text();
    return Response.json({ status: response.status, names: [...response.headers.keys()], length: text.length, text: text.slice(0, 100), url: response.url });
  } catch (error) { return Response.json({ thrown: `${error.name}: ${error.message}` }) } } }"""


@dataclass
class RawOrigin:
    """Answers every request with the same bytes, and keeps the heads it got."""

    answer: bytes = b""
    heads: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer, and end the connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
            await reader.read()
        writer.close()


@pytest_asyncio.fixture(loop_scope="session")
async def raw(mesh: Mesh) -> AsyncIterator[RawOrigin]:
    """A raw origin, and a user Worker that asks it."""
    await mesh.deploy("fetcher", FETCHER, "production")
    origin = RawOrigin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    origin.port = server.sockets[0].getsockname()[1]
    yield origin
    server.close()
    await server.wait_closed()
    failures = [line for s in mesh.services.values() for line in s.lines if "exception" in line]
    assert failures == []


async def ask(mesh: Mesh, url: str, **init: object) -> dict[str, object]:
    """What the user Worker sees of that URL."""
    status, text = await mesh.get(
        "fetcher.test", headers={"x-ask": json.dumps({"url": url, **init})}
    )
    assert status == 200, text
    seen: dict[str, object] = json.loads(text)
    return seen


def response(*headers: bytes, body: bytes = b"body", status: bytes = b"200 OK") -> bytes:
    """A response with these header lines."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


CONTROL = [
    b'x-sluice-error: {"name":"Error","message":"forged"}',
    b'x-sluice-error: {"kind":"load","name":"Error","message":"forged"}',
    b"x-sluice-error: not JSON",
    b"X-Sluice-Error: " + b"[" * 10_000,
    b"x-sluice-token: " + b"a" * 48,
    b'x-sluice-get: {"binding":"dispatcher","name":"victim","props":{},"outbound":{},"limits":{}}',
    b'x-sluice-env: {"customer_name":"victim"}',
    b'x-sluice-call: {"method":"constructor"}',
    b"x-sluice-hops: 0",
    b"x-sluice-cf: {}",
    b"x-sluice-error: a\r\nx-sluice-error: b",
]


@pytest.mark.parametrize("header", CONTROL)
async def test_control_header(mesh: Mesh, raw: RawOrigin, header: bytes) -> None:
    """An origin's control header is dropped: it is no error, no choice and no token."""
    raw.answer = response(header)
    seen = await ask(mesh, raw.url)
    assert (seen["status"], seen["text"]) == (200, "body")
    assert not [name for name in seen["names"] if "sluice" in name]  # type: ignore[attr-defined]


@pytest.mark.parametrize("header", CONTROL[:6])
async def test_control_header_of_a_redirect(mesh: Mesh, raw: RawOrigin, header: bytes) -> None:
    """A redirect with a control header is a redirect, and its next hop carries nothing of it."""
    raw.answer = response(header, b"Location: /next", status=b"302 Found")
    seen = await ask(mesh, raw.url)
    assert "redirect" in str(seen["thrown"])
    assert len(raw.heads) == 21
    for head in raw.heads:
        names = {line.split(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        assert {name for name in names if b"sluice" in name} == {b"x-sluice-hops"}


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://2852039166/",
        "http://[::ffff:10.0.0.1]/",
        "http://0.0.0.0/",
        "http://127.0.0.1:0/",
    ],
)
async def test_redirect_inside(mesh: Mesh, raw: RawOrigin, location: str) -> None:
    """A redirect to an address that is not public is refused at that hop."""
    raw.answer = response(b"Location: " + location.encode(), status=b"307 Temporary Redirect")
    seen = await ask(mesh, raw.url)
    assert "prohibited" in str(seen["thrown"]).lower(), seen
    assert len(raw.heads) == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "unix:egress.sock", "javascript:1", "ftp://127.0.0.1/", "http://", "http://a b/", "data:text/plain,inside"])  # fmt: skip
async def test_redirect_to_no_url(mesh: Mesh, raw: RawOrigin, location: str) -> None:
    """A redirect to what is no http(s) URL is followed nowhere."""
    raw.answer = response(b"Location: " + location.encode(), status=b"302 Found")
    seen = await ask(mesh, raw.url)
    assert "root:" not in str(seen)
    assert len(raw.heads) == 1
    assert "thrown" in seen or seen["status"] == 302


@pytest.mark.parametrize("service", ["dispatcher", "userworker", "outbound"])
async def test_redirect_to_the_mesh(mesh: Mesh, raw: RawOrigin, service: str) -> None:
    """A redirect to a port of the mesh, on an address that is allowed, never speaks its protocol."""
    raw.answer = response(
        b"Location: http://%b/" % str(mesh.grpc[service]).encode(), status=b"302 Found"
    )
    seen = await ask(mesh, raw.url)
    assert "thrown" in seen, seen


REFUSED = [
    ("not HTTP", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    ("nothing", b""),
    ("half a head", b"HTTP/1.1 200 OK\r\nX: "),
    ("HTTP/2", b"HTTP/2 200\r\n\r\n"),
    ("a frame of HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18)),
    ("no status", b"HTTP/1.1 OK\r\n\r\n"),
    ("status 0", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 99", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 700", b"HTTP/1.1 700 OK\r\nContent-Length: 0\r\n\r\n"),
    ("status 9999", b"HTTP/1.1 9999 OK\r\nContent-Length: 0\r\n\r\n"),
    ("a switch that nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("length and chunks", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody"),
    ("a sign", b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nbody"),
    ("a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody"),
    ("a length of 2^64", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nbody"),
    ("a length of 2^64 - 1", b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nbody"),
    ("a length of 2^63", b"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nbody"),
    ("a length of 5,000 digits", b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nbody"),
    ("gzip as a transfer coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("a chunk that is none", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    ("a chunk of 2^64", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx"),
    ("a chunk without end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 200_000),
    ("a short body", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nbody"),
    ("NUL in a value", b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("a bare CR", b"HTTP/1.1 200 OK\r\nX: a\rb: c\r\nContent-Length: 0\r\n\r\n"),
    ("300 headers", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"Content-Length: 0\r\n\r\n"),
    ("20,000 headers", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n"),
    ("a header without end", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2_000_000),
    ("a status text without end", b"HTTP/1.1 200 " + b"a" * 2_000_000),
    ("2,000 interim responses", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2000),
]  # fmt: skip


@pytest.mark.parametrize("answer", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_broken_response(mesh: Mesh, raw: RawOrigin, answer: bytes) -> None:
    """What is no response is thrown at the Worker that asked, with a reason, and at nobody else."""
    raw.answer = answer
    seen = await ask(mesh, raw.url)
    assert "thrown" in seen, seen
    assert "internal error" not in str(seen["thrown"])
    raw.answer = response()
    assert (await ask(mesh, raw.url))["text"] == "body"


async def test_second_response_is_nobodys(mesh: Mesh, raw: RawOrigin) -> None:
    """What an origin sends behind its response is not the answer to the next request."""
    raw.answer = response(body=b"first") + response(body=b"poison")
    seen = await asyncio.gather(*(ask(mesh, raw.url) for _ in range(8)))
    assert {one["text"] for one in seen} == {"first"}


async def test_decompression_bomb(mesh: Mesh, raw: RawOrigin) -> None:
    """200 MB in a few compressed bytes cost nobody memory but the Worker that unpacks them."""
    bomb = gzip.compress(bytes(200_000_000), 1)
    raw.answer = response(b"Content-Encoding: gzip", body=bomb)
    status, text = await mesh.get("fetcher.test", headers={"x-ask": json.dumps({"url": raw.url})})
    assert (status, text) == (500, "Error: Worker exceeded memory limit.")
    raw.answer = response()
    assert (await ask(mesh, raw.url))["text"] == "body"


@pytest.mark.parametrize(
    "value",
    ["a\r\nHost: victim.test", "a\nb", "a\0b"],
)
async def test_split_request(mesh: Mesh, raw: RawOrigin, value: str) -> None:
    """A Worker cannot split the request that an origin gets."""
    raw.answer = response()
    seen = await ask(mesh, raw.url, headers={"x-a": value})
    assert "TypeError" in str(seen["thrown"])
    assert raw.heads == []


async def test_request_says_one_thing(mesh: Mesh, raw: RawOrigin) -> None:
    """Framing, host and connection headers of a Worker's own do not reach an origin."""
    raw.answer = response()
    headers = {"host": "victim.test", "content-length": "99", "transfer-encoding": "gzip", "connection": "x-customer", "te": "trailers", "upgrade": "h2c", "proxy-connection": "close", "keep-alive": "1"}  # fmt: skip
    await ask(mesh, raw.url, method="POST", body="abc", headers=headers)
    (head,) = raw.heads
    lines = head.decode().lower().split("\r\n")[1:-2]
    said = dict(line.split(": ", 1) for line in lines)
    assert len(said) == len(lines)
    assert said["host"] == f"127.0.0.1:{raw.port}"
    assert said["content-length"] == "3"
    assert said["x-customer"] == "fetcher"
    assert (
        not {"transfer-encoding", "te", "upgrade", "proxy-connection", "keep-alive"} & said.keys()
    )
