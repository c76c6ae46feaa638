"""An error arrives as it was sent, whatever is in it, and gRPC's own errors get a reason."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from sluice.mesh import errors
from sluice.pb import userworker_pb2
from sluice.wire.errors import Reason, SluiceError


async def sent(serve: Any, error: SluiceError, *, after_head: bool = False) -> SluiceError:
    """What a caller makes of `error`, over a real connection."""

    async def invoke(_: Any, context: Any) -> None:
        if after_head:
            await context.write(userworker_pb2.InvokeResponse())
        raise error

    peer = await serve(invoke)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await peer.invoke()
    assert caught.value.code().value[0] == error.reason.code.value
    return errors.from_rpc(caught.value, "userworker")


@pytest.mark.parametrize("reason", Reason)
async def test_every_reason_arrives(serve: Any, reason: Reason) -> None:
    """Reason, message and metadata of an error are the same on both sides."""
    arrived = await sent(serve, SluiceError(reason, "what is wrong", name="TypeError", message="m"))
    assert arrived.reason is reason
    assert arrived.message == "what is wrong"
    assert arrived.metadata == {"name": "TypeError", "message": "m"}


async def test_an_error_after_the_head_arrives(serve: Any) -> None:
    """A body that is cut short says why."""
    arrived = await sent(serve, SluiceError(Reason.EXCEEDED_CPU, "too slow"), after_head=True)
    assert (arrived.reason, arrived.message) == (Reason.EXCEEDED_CPU, "too slow")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("a\0b\r\n\x1b[31m\x7f", "a\0b\r\n\x1b[31m\x7f"),  # control characters
        ("100 % é 😀 \u2028", "100 % é 😀 \u2028"),  # what gRPC percent-encodes
        ("\ud83d lone", "? lone"),  # JavaScript strings may have it, UTF-8 may not
        ("x" * 100_000, "x" * errors.MAX_TEXT),
        ("😀" * 100_000, "😀" * (errors.MAX_TEXT // 4)),  # 3 bytes a byte once percent-encoded
        ("x" + "é" * 2000, "x" + "é" * 1023),  # never half a character
    ],
    ids=lambda text: ascii(text[:8]),
)
async def test_texts_survive(serve: Any, text: str, expected: str) -> None:
    """Any text arrives, in the message and in the metadata, as far as there is room."""
    arrived = await sent(serve, SluiceError(Reason.WORKER_EXCEPTION, text, message=text))
    assert arrived.message == arrived.metadata["message"] == expected


async def test_too_much_metadata_is_left_out(serve: Any) -> None:
    """Metadata over its limit costs entries, never the error."""
    metadata = {f"k{n}": "x" * 1500 for n in range(20)} | {"last": "small"}
    arrived = await sent(serve, SluiceError(Reason.WORKER_EXCEPTION, "😀" * 9999, **metadata))
    assert arrived.reason is Reason.WORKER_EXCEPTION
    assert set(arrived.metadata) == {"k0", "k1", "k2", "k3", "k4", "last"}


def test_other_languages_can_read_it() -> None:
    """The trailer is the `google.rpc.Status` that the gRPC libraries look for (AIP-193)."""
    said = errors.to_status(SluiceError(Reason.LOAD_SHED, "busy", worker="acme"))
    code, details, ((key, value),) = said.code, said.details, said.metadata
    status = status_pb2.Status.FromString(value)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert key == "grpc-status-details-bin"
    assert (code, details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "busy")
    assert (status.code, status.message) == (code.value[0], details)
    assert (info.reason, info.domain, info.metadata) == ("LOAD_SHED", "sluice", {"worker": "acme"})


def rpc_error(
    code: grpc.StatusCode, details: str = "said", trailers: Any = None
) -> grpc.aio.AioRpcError:
    """An error as grpc.aio raises it."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)


def trailers_of(reason: str, domain: str = "sluice") -> grpc.aio.Metadata:
    """Trailers with an `ErrorInfo`."""
    status = status_pb2.Status(code=13, message="said")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    return grpc.aio.Metadata((errors.DETAILS_KEY, status.SerializeToString()))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (rpc_error(grpc.StatusCode.UNAVAILABLE), Reason.SERVICE_UNAVAILABLE),
        (rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED), Reason.EXCEEDED_WALL_TIME),
        (rpc_error(grpc.StatusCode.CANCELLED), Reason.BODY_CUT_SHORT),
        (rpc_error(grpc.StatusCode.ABORTED), Reason.BODY_CUT_SHORT),
        (rpc_error(grpc.StatusCode.UNIMPLEMENTED), Reason.INTERNAL),  # a peer of another version
        (rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED), Reason.INTERNAL),  # of whatever
        (rpc_error(grpc.StatusCode.UNAVAILABLE, trailers=trailers_of("X", "other")),
         Reason.SERVICE_UNAVAILABLE),  # a proxy between, with an error of its own
        (rpc_error(grpc.StatusCode.UNAVAILABLE,
                   trailers=grpc.aio.Metadata((errors.DETAILS_KEY, b"\xff\xff"))),
         Reason.SERVICE_UNAVAILABLE),
    ],
)  # fmt: skip
def test_errors_without_a_reason(error: grpc.aio.AioRpcError, reason: Reason) -> None:
    """An error that is not of Sluice's gets a reason by its code, and names the service."""
    found = errors.from_rpc(error, "userworker")
    assert (found.reason, found.message) == (reason, "userworker: said")


def test_a_reason_of_a_newer_peer() -> None:
    """A reason that this code does not know is `INTERNAL`, and keeps its message."""
    found = errors.from_rpc(
        rpc_error(grpc.StatusCode.INTERNAL, trailers=trailers_of("FROM_THE_FUTURE")), "outbound"
    )
    assert (found.reason, found.message) == (Reason.INTERNAL, "said")


async def test_what_grpc_itself_says(serve: Any) -> None:
    """The errors that grpc raises where a message or a call's time is too large get theirs."""

    async def invoke(request: Any, context: Any) -> None:
        if request.body == b"hang":
            await asyncio.Event().wait()
        await context.write(userworker_pb2.InvokeResponse(body=bytes(5_000_000)))

    peer = await serve(invoke)
    for body, options, reason in (
        (bytes(5_000_000), {}, Reason.BODY_TOO_LARGE),  # refused here
        (b"large", {}, Reason.BODY_TOO_LARGE),  # refused by the peer
        (b"hang", {"timeout": 0.1}, Reason.EXCEEDED_WALL_TIME),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await peer.invoke(body, **options)
        assert errors.from_rpc(caught.value, "userworker").reason is reason


async def test_aborting_a_call_that_was_cancelled(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A servicer that fails because its caller went away raises nothing and logs nothing."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def invoke(_: Any, context: Any) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise SluiceError(Reason.BODY_CUT_SHORT, "late") from None

    peer = await serve(invoke)
    call = peer.call()
    await began.wait()
    call.cancel()
    await ended.wait()
    await peer.server.stop(5)
    assert not caplog.records
