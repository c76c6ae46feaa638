"""Parts out of place are refused by name, whoever sends them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sluice.mesh import errors
from sluice.mesh.pair import OUTBOUND_FETCH
from sluice.mesh.parts import Parts, parse, refuse_request, whole_request
from sluice.wire.body import CHUNK, WHOLE
from sluice.wire.errors import Reason, SluiceError

HEAD: dict[str, Any] = {"method": "POST", "url": "http://a.test/"}
WHO: dict[str, Any] = {"worker": {"name": "acme"}}
FIRST: dict[str, Any] = {"subrequest": WHO, "head": HEAD}
END: dict[str, Any] = {"trailers": {}}
INVALID, SHORT = Reason.INVALID_REQUEST, Reason.BODY_CUT_SHORT


def sized(length: int) -> dict[str, Any]:
    """A first part that says how long the body is."""
    return {"subrequest": WHO, "head": {**HEAD, "content_length": length}}


def read(parts: list[dict[str, Any]]) -> bytes:
    """The body of a streamed request with these parts, to the end of the stream."""
    request = OUTBOUND_FETCH.stream_request
    reader = Parts(request, OUTBOUND_FETCH.openings, refuse_request)
    first, *rest = [request(**part).SerializeToString() for part in parts]
    part = reader.first(first)
    length = part.head.content_length if part.head.HasField("content_length") else None
    body = reader.begin(part, length) + b"".join([reader.more(data) for data in rest])
    reader.end()
    return body


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ([FIRST, END], b""),
        ([{**FIRST, **END}], b""),
        ([{**FIRST, "body": b"a"}, {"body": b"b"}, END], b"ab"),
        ([FIRST, {}, {"body": b""}, {"body": b"a"}, {}, END], b"a"),  # empty parts say nothing
        ([sized(2), {"body": b"a"}, {"body": b"b"}], b"ab"),  # the length ends it
        ([sized(2), {"body": b"ab"}, END, {}], b"ab"),  # and the trailers may still follow
        ([sized(0)], b""),
        ([FIRST, {"body": b"x" * CHUNK}, END], b"x" * CHUNK),
    ],
)
def test_parts_in_order(parts: list[dict[str, Any]], body: bytes) -> None:
    """What the contract allows is read, and the bytes are those that were sent."""
    assert read(parts) == body


@pytest.mark.parametrize(
    ("parts", "reason", "says"),
    [
        ([{"head": HEAD}], INVALID, "subrequest: not set in the first message"),
        ([{"subrequest": WHO}], INVALID, "head: not set in the first message"),
        ([{"body": b"a"}, FIRST], INVALID, "subrequest: not set in the first message"),
        ([FIRST, {"head": HEAD}], INVALID, "head: set again after the first message"),
        ([FIRST, {"subrequest": WHO}], INVALID, "subrequest: set again"),
        ([FIRST, {"subrequest": WHO, "body": b"a"}], INVALID, "subrequest: set again"),
        ([{**FIRST, "websocket": {"text": "a"}}], INVALID, "websocket: no WebSocket is open"),
        ([FIRST, {"websocket": {"text": "a"}}], INVALID, "websocket: no WebSocket is open"),
        ([FIRST, END, {"body": b"a"}], INVALID, "body: after the trailers"),
        ([FIRST, END, {"body": b""}], INVALID, "body: after the trailers"),
        ([FIRST, END, END], INVALID, "trailers: after the trailers"),
        ([FIRST, END, FIRST], INVALID, "subrequest: set again"),
        ([sized(1), {"body": b"a"}, END, END], INVALID, "trailers: after the trailers"),
        ([FIRST, {"body": b"x" * (CHUNK + 1)}], INVALID, "body: 65537 bytes in one message"),
        ([sized(1), {"body": b"ab"}], INVALID, "body: more than head.content_length bytes"),
        ([{**sized(1), "body": b"ab"}], INVALID, "body: more than head.content_length bytes"),
        ([sized(1), {"body": b"a"}, {"body": b"b"}], INVALID, "body: more than"),
        ([sized(3), {"body": b"a"}, END], SHORT, "body: ended 2 bytes before"),
        ([{**sized(3), "body": b"a"}], SHORT, "body: ended 2 bytes before"),
    ],
)
def test_parts_out_of_place(parts: list[dict[str, Any]], reason: Reason, says: str) -> None:
    """Each is refused, by its name."""
    with pytest.raises(SluiceError) as raised:
        read(parts)
    assert raised.value.reason is reason
    assert raised.value.message.startswith(says)


@pytest.mark.parametrize(
    ("message", "reason", "says"),
    [
        ({"head": HEAD}, INVALID, "subrequest: not set"),
        ({"subrequest": WHO}, INVALID, "head: not set"),
        ({**FIRST, "body": b"x" * (WHOLE + 1)}, INVALID, "body: 262145 bytes, over 262144"),
        ({**sized(1), "body": b"ab"}, INVALID, "body: more than head.content_length bytes"),
        ({**sized(3), "body": b"ab"}, SHORT, "body: ended 1 bytes before"),
        ({**sized(2**64 - 1)}, INVALID, "head.content_length: 18446744073709551615, over"),
        (
            {"subrequest": WHO, "head": {**HEAD, "method": "GET", "websocket": True}},
            INVALID,
            "head.websocket: needs OutboundFetchStream, not OutboundFetch",
        ),
    ],
)
def test_a_whole_request_that_is_none(message: dict[str, Any], reason: Reason, says: str) -> None:
    """So is a whole request whose one message does not hold together."""
    data = OUTBOUND_FETCH.whole_request(**message).SerializeToString()
    with pytest.raises(SluiceError) as raised:
        whole_request(OUTBOUND_FETCH, data)
    assert raised.value.reason is reason
    assert raised.value.message.startswith(says)


@pytest.mark.parametrize("part", [{"body": b"a"}, {"body": b""}, END, {"websocket": {"text": "a"}}])
def test_before_a_websocket_is_open(part: dict[str, Any]) -> None:
    """The first part of a call that opens a WebSocket has nothing besides the head."""
    reader = Parts(OUTBOUND_FETCH.stream_request, OUTBOUND_FETCH.openings, refuse_request)
    first = OUTBOUND_FETCH.stream_request(**FIRST, **part)
    with pytest.raises(SluiceError, match=f"{next(iter(part))}: before the WebSocket is open"):
        reader.check_open(reader.first(first.SerializeToString()))


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"body": b"a"}, "body: not a message of the open WebSocket"),
        (END, "trailers: not a message of the open WebSocket"),
        ({}, "websocket: not a message of the open WebSocket"),
        ({"head": {"status": 200}}, "head: set again"),
        ({"head": {"status": 200}, "websocket": {"text": "a"}}, "head: set again"),
    ],
)
def test_on_an_open_websocket(part: dict[str, Any], says: str) -> None:
    """There, each part is a message. What is no response is INVALID_RESPONSE of that peer."""
    response = OUTBOUND_FETCH.stream_response

    def refuse(text: str) -> SluiceError:
        return errors.invalid_response("outbound", text)

    reader = Parts(response, ("head",), refuse)
    with pytest.raises(SluiceError) as raised:
        reader.message(response(**part).SerializeToString())
    assert raised.value.reason is Reason.INVALID_RESPONSE
    assert raised.value.message.startswith(f"outbound: {says}")


@pytest.mark.parametrize("data", [b"\xff" * 9, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 1000])
def test_what_is_no_message(data: bytes) -> None:
    """Bytes that no message has are refused with the reason of the one who reads them."""
    with pytest.raises(SluiceError, match="not a message of this method") as raised:
        parse(OUTBOUND_FETCH.whole_request.FromString, data)
    assert raised.value.reason is Reason.INVALID_REQUEST


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_what_is_kept_of_a_request_is_without_its_body() -> None:
    """An invocation outlives its request by half a minute; the request's message does not."""
    message = {**FIRST, "body": bytes(WHOLE)}
    data = OUTBOUND_FETCH.whole_request(**message).SerializeToString()
    before = _resident()
    kept = [whole_request(OUTBOUND_FETCH, data)[0] for _ in range(400)]
    assert kept[0].worker.name == "acme"
    assert _resident() - before < 400 * WHOLE / 4
