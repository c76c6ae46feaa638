"""Both kinds of peers, ours and grpcio's, which serve and call the same methods."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
import trustme

from sluice.http2.failure import StreamEndedError
from sluice.rpc.link import Link
from sluice.rpc.metadata import Metadata
from sluice.rpc.server import Server
from sluice.rpc.status import Status

MOST = 4 << 20
HOST = "127.0.0.1"
NAME = "peer.sluice.test"
SERVICE = "test.Shapes"


class Shapes:
    """Methods of every shape, for servers of both kinds: messages are bytes."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()

    async def unary(self, request: bytes, _: Any) -> bytes:
        """Echo."""
        return request

    async def parts(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        """Answer each byte, and then nothing."""
        for byte in request:
            yield bytes([byte])
        yield b""

    async def joined(self, requests: AsyncIterator[bytes], _: Any) -> bytes:
        """Answer all in one."""
        return b"".join([request async for request in requests])

    async def each(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        """Echo each."""
        async for request in requests:
            yield request

    async def metadata(self, _: bytes, context: Any) -> bytes:
        """Say what was said."""
        said = [tuple(item) for item in context.invocation_metadata() if item[0] != "user-agent"]
        return repr(said).encode()

    async def abort(self, request: bytes, context: Any) -> bytes:
        """End as it is asked to: code, details."""
        number, details = request.split(b" ", 1)
        (code,) = (code for code in grpc.StatusCode if code.value[0] == int(number))
        trailing = (("x-a", "b"), ("x-a-bin", b"\0\xff"), ("grpc-status-details-bin", b"abc"))
        await context.abort(code, details.decode(), trailing)
        raise AssertionError

    async def later(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        """Answer, and end by an error."""
        yield request
        yield request
        await context.abort(grpc.StatusCode.ABORTED, "later")

    async def early(self, requests: AsyncIterator[bytes], _: Any) -> bytes:
        """Answer the first, while others come."""
        async for request in requests:
            return request
        raise AssertionError

    async def fail(self, _: bytes, __: Any) -> bytes:
        """Raise what nobody expects."""
        raise RuntimeError("a bug")

    async def wait(self, request: bytes, _: Any) -> bytes:
        """Wait until it may go on."""
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request

    async def endless(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        """Answer on and on."""
        self.began.set()
        try:
            while True:
                yield request
        finally:
            self.cancelled.set()

    def add_to(self, server: Any) -> None:
        """Serve them, as generated code adds them."""
        shapes = {
            grpc.unary_unary_rpc_method_handler: ["unary", "metadata", "abort", "fail", "wait"],
            grpc.unary_stream_rpc_method_handler: ["parts", "later", "endless"],
            grpc.stream_unary_rpc_method_handler: ["joined", "early"],
            grpc.stream_stream_rpc_method_handler: ["each"],
        }
        handlers = {
            name: shape(getattr(self, name)) for shape, names in shapes.items() for name in names
        }
        generic = grpc.method_handlers_generic_handler(SERVICE, handlers)
        server.add_generic_rpc_handlers((generic,))
        server.add_registered_method_handlers(SERVICE, handlers)


def path(method: str) -> str:
    """Where a method is."""
    return f"/{SERVICE}/{method}"


@dataclass
class Outcome:
    """What became of a call."""

    messages: list[bytes]
    code: grpc.StatusCode
    details: str
    trailing: list[tuple[str, str | bytes]]


class Peer(Protocol):
    """Who makes calls."""

    async def call(
        self, method: str, *messages: bytes, metadata: Metadata = (), timeout: float | None = None
    ) -> Outcome:
        """Make a call to its end."""


class Grpcio:
    """Calls by grpcio."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel

    async def call(
        self, method: str, *messages: bytes, metadata: Metadata = (), timeout: float | None = None
    ) -> Outcome:
        """See `Peer`."""
        call = self.channel.stream_stream(path(method))(
            iter(messages), metadata=metadata, timeout=timeout
        )
        got: list[bytes] = []
        try:
            async for message in call:
                got.append(message)  # noqa: PERF401  # those before an error are wanted too
        except grpc.aio.AioRpcError:
            pass
        trailing = [tuple(item) for item in await call.trailing_metadata()]
        return Outcome(got, await call.code(), await call.details() or "", trailing)


class Ours:
    """Calls by a link."""

    def __init__(self, link: Link) -> None:
        self.link = link

    async def call(
        self, method: str, *messages: bytes, metadata: Metadata = (), timeout: float | None = None
    ) -> Outcome:
        """See `Peer`."""
        if timeout is not None:
            metadata = (*metadata, ("grpc-timeout", f"{int(timeout * 1000)}m"))
        first, *rest = messages
        call = await self.link.call(path(method), metadata, first, whole=not rest)

        async def write() -> None:
            for message in rest[:-1]:
                await call.write(message)
            await call.write(rest[-1], last=True)

        writing = asyncio.create_task(write()) if rest else None
        got: list[bytes] = []
        try:
            while (message := await call.read()) is not None:
                got.append(message)
        except grpc.aio.AioRpcError as error:
            trailing = [tuple(item) for item in error.trailing_metadata() or ()]
            return Outcome(got, error.code(), error.details() or "", trailing)
        finally:
            if writing is not None:
                await asyncio.wait([writing])
                if isinstance(writing.exception(), StreamEndedError):
                    writing = None
        return Outcome(got, grpc.StatusCode.OK, "", [])


class Certificates:
    """A CA, and what each side has of it: `NAME` is the server's, `caller.test` the client's."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        self.server = self.ca.issue_cert(NAME)
        self.client = self.ca.issue_cert("caller.test", "other.test")

    def context(self, own: trustme.LeafCert, purpose: ssl.Purpose) -> ssl.SSLContext:
        """TLS of ours: both sides show a certificate, and speak HTTP/2."""
        context = ssl.create_default_context(purpose)
        own.configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        return context

    def for_server(self) -> ssl.SSLContext:
        """TLS of our server."""
        return self.context(self.server, ssl.Purpose.CLIENT_AUTH)

    def for_link(self) -> ssl.SSLContext:
        """TLS of our link."""
        return self.context(self.client, ssl.Purpose.SERVER_AUTH)

    def grpcio_server(self) -> grpc.ServerCredentials:
        """TLS of grpcio's server."""
        return grpc.ssl_server_credentials(
            [self._pair(self.server)], self.ca.cert_pem.bytes(), require_client_auth=True
        )

    def grpcio_channel(self) -> grpc.ChannelCredentials:
        """TLS of grpcio's channel."""
        return grpc.ssl_channel_credentials(self.ca.cert_pem.bytes(), *self._pair(self.client))

    def _pair(self, own: trustme.LeafCert) -> tuple[bytes, bytes]:
        chain = b"".join(blob.bytes() for blob in own.cert_chain_pems)
        return own.private_key_pem.bytes(), chain


def explain(method: str, error: Exception) -> Status:
    """What a server of ours says of an exception."""
    return Status(grpc.StatusCode.UNKNOWN, f"{method} raised {type(error).__name__}: {error}")


def our_server(tls: Certificates | None = None, **more: Any) -> Server:
    """A server of ours that does not listen yet."""
    return Server(MOST, explain, tls=tls.for_server() if tls else None, **more)


@asynccontextmanager
async def serving(
    kind: str, tls: Certificates | None = None, shapes: Shapes | None = None
) -> AsyncIterator[tuple[int, Shapes]]:
    """A server of a kind: its port, and what it serves."""
    shapes = shapes or Shapes()
    if kind == "ours":
        ours = our_server(tls)
        shapes.add_to(ours)
        try:
            yield await ours.start(HOST, 0), shapes
        finally:
            await ours.stop(0)
        return
    server = grpc.aio.server(maximum_concurrent_rpcs=None)
    shapes.add_to(server)
    if tls:
        port = server.add_secure_port(f"{HOST}:0", tls.grpcio_server())
    else:
        port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    try:
        yield port, shapes
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(kind: str, port: int, tls: Certificates | None = None) -> AsyncIterator[Peer]:
    """A client of a kind."""
    if kind == "ours":
        context = tls.for_link() if tls else None
        link = Link(HOST, port, MOST, context, NAME if tls else None)
        try:
            yield Ours(link)
        finally:
            await link.close()
        return
    target = f"{HOST}:{port}"
    if tls:
        options: Sequence[tuple[str, Any]] = [("grpc.ssl_target_name_override", NAME)]
        channel = grpc.aio.secure_channel(target, tls.grpcio_channel(), options=options)
    else:
        channel = grpc.aio.insecure_channel(target)
    try:
        yield Grpcio(channel)
    finally:
        await channel.close()


@asynccontextmanager
async def pair(
    client: str, server: str, tls: Certificates | None = None
) -> AsyncIterator[tuple[Peer, Shapes]]:
    """A client and a server that it calls."""
    async with AsyncExitStack() as stack:
        port, shapes = await stack.enter_async_context(serving(server, tls))
        yield await stack.enter_async_context(calling(client, port, tls)), shapes
