"""Where the client connects to: addresses, names and certificates."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl

import pytest

from services.outbound.origin.client import GuardedClient
from sluice.wire.errors import Reason
from sluice.wire.messages import Request
from tests.outbound.calls import ACME, MakeClient, Pieces, Scripted, failure, get, whole
from tests.outbound.origins import Authority, Recorder, Serve


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("127.0.0.1", Reason.DESTINATION_PROHIBITED),
        ("localhost", Reason.DESTINATION_PROHIBITED),
        ("LOCALHOST", Reason.DESTINATION_PROHIBITED),
        ("[::1]", Reason.DESTINATION_PROHIBITED),
        ("[::]", Reason.DESTINATION_PROHIBITED),
        ("0.0.0.0", Reason.DESTINATION_PROHIBITED),
        ("169.254.169.254", Reason.DESTINATION_PROHIBITED),
        ("[::ffff:127.0.0.1]", Reason.DESTINATION_PROHIBITED),
        ("[::ffff:7f00:1]", Reason.DESTINATION_PROHIBITED),
        ("[64:ff9b::7f00:1]", Reason.DESTINATION_PROHIBITED),
        ("[fe80::1%25lo]", Reason.DESTINATION_PROHIBITED),
        # `getaddrinfo` reads these as 127.0.0.1 and 169.254.169.254
        ("0x7f.1", Reason.DESTINATION_PROHIBITED),
        ("0x7f000001", Reason.DESTINATION_PROHIBITED),
        ("0xa9fea9fe", Reason.DESTINATION_PROHIBITED),
        ("0x7f.0.0.1", Reason.DESTINATION_PROHIBITED),
        # aiohttp itself refuses these
        ("2130706433", Reason.INVALID_REQUEST),
        ("127.1", Reason.INVALID_REQUEST),
        ("0177.0.0.1", Reason.INVALID_REQUEST),
        ("0", Reason.INVALID_REQUEST),
    ],
)
async def test_literals_are_guarded(
    host: str, reason: Reason, serve: Serve, make_client: MakeClient
) -> None:
    """Every spelling of a private address is refused, though no resolver is asked for a literal."""
    origin = Recorder()
    port = await serve(origin)
    error = await failure(make_client(allow=()), get(port, "/?secret", host))
    assert error.reason is reason
    assert "secret" not in error.message
    assert origin.connections == 0


async def test_name_that_is_bound_again_is_refused(serve: Serve, make_client: MakeClient) -> None:
    """A name that first resolves to a permitted address and then to another is judged each time."""
    origin = Recorder(close=True)
    port = await serve(origin)
    resolver = Scripted(["127.0.0.1"], ["127.0.0.2"])
    client = make_client(allow=(f"127.0.0.1:{port}",), resolver=resolver, dns_ttl=0)
    request = get(port, host="rebind.example.com")
    assert await whole(await client.send(request, ACME)) == b"ok"
    error = await failure(client, get(port, host="rebind.example.com"))
    assert error.reason is Reason.DESTINATION_PROHIBITED
    assert error.message == (
        "rebind.example.com is prohibited as a destination: it is a loopback address"
    )
    assert (resolver.asked, origin.connections) == (2, 1)


@pytest.mark.parametrize(
    "answer",
    [
        ["10.1.2.3", "127.0.0.1"],
        ["127.0.0.1", "10.1.2.3"],
        ["::1", "169.254.169.254", "127.0.0.1"],
    ],
)
async def test_permitted_one_of_several_addresses_is_used(
    answer: list[str], serve: Serve, make_client: MakeClient
) -> None:
    """Of a mixed answer, the refused addresses are passed over."""
    port = await serve(Recorder())
    client = make_client(resolver=Scripted(answer))
    assert await whole(await client.send(get(port, host="mixed.example.com"), ACME)) == b"ok"


@pytest.mark.parametrize(
    "answer", [["10.1.2.3"], ["10.1.2.3", "192.168.0.1"], ["10.1.2.3", "::1"], ["::1", "fe80::1"]]
)
async def test_name_with_only_refused_addresses_is_prohibited(
    answer: list[str], make_client: MakeClient
) -> None:
    """Where every attempt was refused, the error says so, whatever aiohttp makes of several."""
    error = await failure(
        make_client(resolver=Scripted(answer)), get(80, host="internal.example.com")
    )
    assert error.reason is Reason.DESTINATION_PROHIBITED
    assert not any(address in error.message for address in answer)


async def test_port_0_is_refused(client: GuardedClient) -> None:
    """Port 0 is no destination, also of a permitted address."""
    assert (await failure(client, get(0))).reason is Reason.DESTINATION_PROHIBITED


async def test_port_without_a_listener_refuses(client: GuardedClient) -> None:
    """A refused connection is named so, without the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await failure(client, get(unused.getsockname()[1], host="localhost"))
    assert error.reason is Reason.CONNECTION_REFUSED
    assert error.message == "localhost cannot be reached: Connection refused"


@pytest.mark.parametrize(
    "host",
    [
        "does-not-exist.invalid",
        "a..b",
        "x" * 64 + ".example.com",  # a label that DNS cannot carry
        "a%20b",
    ],
)
async def test_name_without_an_address(host: str, client: GuardedClient) -> None:
    """A name that does not resolve, or cannot, is a DNS error that names it."""
    error = await failure(client, get(80, host=host))
    assert error.reason is Reason.DNS_ERROR
    assert error.message.startswith(f"{host} cannot be resolved: ")


async def test_answer_of_the_resolver_is_used_again(serve: Serve, make_client: MakeClient) -> None:
    """Within the time to live, further connections do not ask the resolver."""
    resolver = Scripted(["127.0.0.1"])
    port = await serve(Recorder(close=True))
    client = make_client(resolver=resolver)
    for _ in range(3):
        assert await whole(await client.send(get(port, host="name.example.com"), ACME)) == b"ok"
    assert resolver.asked == 1


def https(port: int, host: str = "logs.example.com") -> Request:
    """A GET request over TLS."""
    return Request("GET", f"https://{host}:{port}/")


async def tls_client(
    make_client: MakeClient, serve: Serve, context: ssl.SSLContext, ca_file: str | None
) -> tuple[GuardedClient, int]:
    """An origin with `context`, as port, and a client that trusts `ca_file`."""
    port = await serve(Recorder(), tls=context)
    return make_client(resolver=Scripted(["127.0.0.1"]), ca_file=ca_file), port


async def test_origin_with_a_good_certificate(
    serve: Serve, make_client: MakeClient, authority: Authority
) -> None:
    """A certificate for the URL's host, of an authority that is trusted, is accepted."""
    context = authority.server("logs.example.com")
    client, port = await tls_client(make_client, serve, context, authority.file)
    assert await whole(await client.send(https(port), ACME)) == b"ok"


async def test_origin_by_address_with_a_good_certificate(
    serve: Serve, make_client: MakeClient, authority: Authority
) -> None:
    """A certificate for an address serves URLs with that address."""
    client, port = await tls_client(
        make_client, serve, authority.server("127.0.0.1"), authority.file
    )
    assert await whole(await client.send(https(port, "127.0.0.1"), ACME)) == b"ok"


async def test_origin_with_a_bad_certificate(
    serve: Serve, make_client: MakeClient, authority: Authority
) -> None:
    """A certificate for another host, an expired one and an unknown authority are named."""
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    for context, ca_file, text in (
        (authority.server("other.example.com"), authority.file, "Hostname mismatch"),
        (
            authority.server("logs.example.com", not_before=past, not_after=past),
            authority.file,
            "certificate has expired",
        ),
        (authority.server("logs.example.com"), None, "unable to get local issuer certificate"),
    ):
        client, port = await tls_client(make_client, serve, context, ca_file)
        error = await failure(client, https(port))
        assert error.reason is Reason.TLS_ERROR
        assert error.message.startswith("logs.example.com has a bad certificate: ")
        assert text in error.message


async def test_origin_without_tls(
    serve: Serve, make_client: MakeClient, authority: Authority
) -> None:
    """An origin that answers a TLS handshake in plain HTTP is a TLS error."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    client = make_client(resolver=Scripted(["127.0.0.1"]))
    error = await failure(client, https(await serve(plain)))
    assert error.reason is Reason.TLS_ERROR
    assert error.message.startswith("logs.example.com failed the TLS handshake: ")


async def test_body_over_tls(serve: Serve, make_client: MakeClient, authority: Authority) -> None:
    """Large bodies pass both ways over TLS, and one that breaks off raises."""
    size = 4 << 20
    context = authority.server("logs.example.com")
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
    port = await serve(Recorder(answer), tls=context)
    client = make_client(resolver=Scripted(["127.0.0.1"]), ca_file=authority.file)
    request = https(port)
    request.method, request.body = "POST", Pieces([bytes(65536)] * 64)
    assert len(await whole(await client.send(request, ACME))) == size
    port = await serve(Recorder(answer[:-1], close=True), tls=context)
    client = make_client(resolver=Scripted(["127.0.0.1"]), ca_file=authority.file)
    assert (await failure(client, https(port))).reason is Reason.BODY_CUT_SHORT
