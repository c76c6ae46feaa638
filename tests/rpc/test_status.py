"""A status is said in trailers, and what is said there, or instead, is a status."""

from __future__ import annotations

import grpc
import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.http2.failure import Code
from sluice.http2.fields import Decoder, Fields
from sluice.rpc.status import OK, Status, of_head, of_reset, of_trailers

CODES = st.sampled_from([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])


def read(block: bytes) -> Fields:
    """The fields of a block."""
    return Decoder(1 << 20).decode(block)


@given(CODES, st.text(), st.binary(), st.booleans())
def test_round_trip(code: grpc.StatusCode, details: str, data: bytes, alone: bool) -> None:
    """Any status is the same at the far side; what is no Unicode comes as a question mark."""
    status = Status(code, details, (("x", "y"), ("grpc-status-details-bin", data)))
    fields = read(status.block(alone=alone))
    assert (fields[0] == (b":status", b"200")) is alone
    got = of_trailers(fields)
    expected = details.encode("utf-8", "replace").decode()
    assert (got.code, got.details, got.metadata) == (code, expected, status.metadata)


@given(st.text())
def test_percent(details: str) -> None:
    """`grpc-message` is ASCII that can be seen, and reads as RFC 3986 says."""
    ((_, _), *rest) = read(Status(grpc.StatusCode.ABORTED, details).block(alone=False))
    for _, value in rest:
        assert all(0x20 <= byte <= 0x7E for byte in value)


@pytest.mark.parametrize(
    ("message", "details"),
    [
        (b"100%25", "100%"),
        (b"%C3%A9", "é"),
        (b"%c3%a9", "é"),
        ("é".encode(), "é"),  # from a peer that does not encode
        (b"100% %zz %a", "100% %zz %a"),  # what is no encoding stays (PROTOCOL-HTTP2, Responses)
        (b"%FF", "\ufffd"),
        (b"", ""),
        (b"a+b", "a+b"),
    ],
)
def test_message(message: bytes, details: str) -> None:
    """A message is never lost for how it is encoded."""
    assert of_trailers([(b"grpc-status", b"2"), (b"grpc-message", message)]).details == details


@pytest.mark.parametrize("alone", [True, False])
def test_ok(alone: bool) -> None:
    """OK is known by itself, and is little."""
    assert of_trailers(read(OK.block(alone=alone))) is OK
    fields = [tuple(field) for field in hpack.Decoder().decode(OK.block(alone=alone), raw=True)]
    assert fields[-1] == (b"grpc-status", b"0")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (b"16", grpc.StatusCode.UNAUTHENTICATED),
        (b"17", grpc.StatusCode.UNKNOWN),
        (b"-1", grpc.StatusCode.UNKNOWN),
        (b"x", grpc.StatusCode.UNKNOWN),
        (b"", grpc.StatusCode.UNKNOWN),
    ],
)
def test_number(number: bytes, code: grpc.StatusCode) -> None:
    """A number that is no code is UNKNOWN, and never OK."""
    assert of_trailers([(b"grpc-status", number)]).code is code


@pytest.mark.parametrize(
    ("http", "code"),
    [
        (b"200", grpc.StatusCode.UNKNOWN),
        (b"400", grpc.StatusCode.INTERNAL),
        (b"401", grpc.StatusCode.UNAUTHENTICATED),
        (b"403", grpc.StatusCode.PERMISSION_DENIED),
        (b"404", grpc.StatusCode.UNIMPLEMENTED),
        (b"429", grpc.StatusCode.UNAVAILABLE),
        (b"502", grpc.StatusCode.UNAVAILABLE),
        (b"503", grpc.StatusCode.UNAVAILABLE),
        (b"504", grpc.StatusCode.UNAVAILABLE),
        (b"500", grpc.StatusCode.UNKNOWN),
    ],
)
def test_http(http: bytes, code: grpc.StatusCode) -> None:
    """What is between us may answer in HTTP (gRPC's http-grpc-status-mapping)."""
    fields = [(b":status", http)]
    assert of_trailers(fields).code is of_head(fields).code is code
    assert of_trailers([]).code is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("code", Code)
def test_reset(code: Code) -> None:
    """Every code of a reset is a status, and none is OK."""
    expected = {
        Code.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
        Code.CONNECT_ERROR: grpc.StatusCode.UNAVAILABLE,
        Code.CANCEL: grpc.StatusCode.CANCELLED,
        Code.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
        Code.INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
    }
    assert of_reset(code, "why").code is expected.get(code, grpc.StatusCode.INTERNAL)


def test_error() -> None:
    """As an exception it says the same."""
    error = Status(grpc.StatusCode.ABORTED, "why", (("a", "b"),)).error()
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "why")
    assert list(error.trailing_metadata()) == [("a", "b")]
