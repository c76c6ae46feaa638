from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.pb import http_pb2
from sluice.wire import websocket
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response, request_from_pb, request_to_pb
from sluice.wire.websocket import (
    Binary,
    Close,
    Message,
    Text,
    WatchedSocket,
    join,
    message_from_pb,
    message_to_pb,
)

CODES = st.integers(1000, 4999).filter(lambda code: code not in (1004, 1005, 1006, 1015))
REASONS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Binary, st.binary()),
    st.just(Close()),
    st.builds(Close, CODES, REASONS),
)


class End:
    """A WebSocket that receives what a test says, and keeps what it is sent."""

    def __init__(self, *messages: Message | Exception | None) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        for message in messages:
            self.messages.put_nowait(message)
        self.sent: list[Message] = []
        self.closed = 0

    async def receive(self) -> Message | None:
        message: Message | Exception | None = await self.messages.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def aclose(self) -> None:
        self.closed += 1


@given(MESSAGES)
def test_messages_survive_protobuf(message: Message) -> None:
    """A message is the same after the wire."""
    data = message_to_pb(message).SerializeToString()
    assert message_from_pb(http_pb2.WebSocketMessage.FromString(data)) == message


@pytest.mark.parametrize(
    ("close", "name"),
    [
        ({"code": 999}, "code"),  # below the range
        ({"code": 5000}, "code"),  # above it
        ({"code": 1004}, "code"),  # reserved
        ({"code": 1005}, "code"),  # an absent code is said by its absence
        ({"code": 1006}, "code"),  # no frame can say that there was no frame
        ({"code": 1015}, "code"),  # nor that TLS failed
        ({"reason": "x"}, "reason"),  # without a code
        ({"code": 1000, "reason": "x" * 124}, "reason"),  # a control frame has 125 bytes
    ],
)
def test_a_close_that_no_frame_can_carry(close: dict[str, Any], name: str) -> None:
    """It is refused, by the name of the field."""
    with pytest.raises(SluiceError, match=rf"websocket\.close\.{name}") as raised:
        message_from_pb(http_pb2.WebSocketMessage(close=close))
    assert raised.value.reason is Reason.INVALID_REQUEST


def test_a_request_says_that_it_opens_one() -> None:
    """The wish survives protobuf, and is refused of what cannot open one."""
    head = http_pb2.HttpRequestHead()
    request_to_pb(Request("GET", "http://a.test/", websocket=True), head)
    assert request_from_pb(head, Whole()).websocket
    head.method = "POST"
    with pytest.raises(SluiceError, match=r"head\.websocket"):
        request_from_pb(head, Whole())


@given(st.lists(MESSAGES.filter(lambda m: not isinstance(m, Close))))
async def test_join_keeps_order(messages: list[Message]) -> None:
    """Whatever comes on one side goes out on the other, in order, up to the close."""
    near = End(*messages, Close(1000, "near"), Text("never read"))
    far = End(Close(4000, "far"))
    assert await join(near, far)
    assert far.sent == [*messages, Close(1000, "near")]
    assert near.sent == [Close(4000, "far")]
    assert (near.closed, far.closed) == (1, 1)


async def test_join_without_a_close() -> None:
    """Where one side is gone the other is closed at once, and is sent no `Close`."""
    near, far = End(Text("x"), None), End()
    assert not await join(near, far)
    assert far.sent == [Text("x")]
    assert (near.closed, far.closed) == (1, 1)


async def test_join_where_a_close_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side has `CLOSE_WAIT` seconds."""
    monkeypatch.setattr(websocket, "CLOSE_WAIT", 0.01)
    near, far = End(Close(1000)), End(Text("still busy"))
    assert not await join(near, far)
    assert far.sent == [Close(1000)]
    assert near.sent == [Text("still busy")]
    assert (near.closed, far.closed) == (1, 1)


async def test_join_where_a_side_fails() -> None:
    """What a side raises is raised, after both are closed."""
    near, far = End(SluiceError(Reason.INVALID_REQUEST, "no message")), End()
    with pytest.raises(SluiceError, match="no message"):
        await join(near, far)
    assert (near.closed, far.closed) == (1, 1)


async def test_join_cancelled() -> None:
    """Cancelled, it closes both."""
    near, far = End(), End()
    joining = asyncio.create_task(join(near, far))
    await asyncio.wait([joining], timeout=0.01)
    joining.cancel()
    await asyncio.wait([joining])
    assert joining.cancelled()
    assert (near.closed, far.closed) == (1, 1)


async def test_watched() -> None:
    """It counts bytes both ways, knows how it ended, and says once that it is over."""
    over: list[object] = []
    response = Response(101, websocket=End(Text("ä"), None))
    response.watch(over.append)
    socket = response.websocket
    assert isinstance(socket, WatchedSocket)
    await socket.send(Binary(b"abc"))
    assert await socket.receive() == Text("ä")
    assert socket.failure is None
    assert await socket.receive() is None
    assert socket.failure is not None
    await response.aclose()
    await response.aclose()
    assert over == [socket]
    assert (socket.count, socket.sent) == (2, 3)
