"""What is no WebSocket, or is used as none: told to the Worker, and to its client."""

from __future__ import annotations

import json

from sluice.isolate import control
from tests.bodies import read_all
from tests.isolate.python.conftest import StartGuest


async def test_an_ordinary_answer(start: StartGuest) -> None:
    """A request for a WebSocket may be answered as any other, and the connection goes on."""
    guest = await start("""
from workers import Response
def on_fetch(request): return Response(request.headers.get("Upgrade"), status=426)
""")
    for _ in range(2):
        response, _ = await guest.open(websocket=True)
        assert (response.status, response.websocket) == (426, None)
        assert await read_all(response.body, 100) == b"websocket"


_ACCEPTED = "a, b = WebSocketPair(); a.accept(); "
MISUSE = [
    ("WebSocketPair()[0].send('x')", "You must call accept()"),
    ("WebSocketPair()[0].close()", "You must call accept()"),
    ("aiter(WebSocketPair()[0])", "You must call accept()"),
    (f"{_ACCEPTED} a.close(); a.send('x')", "send() after close()"),
    (f"{_ACCEPTED} a.close(1006)", "Invalid WebSocket close code: 1006"),
    (f"{_ACCEPTED} a.close(999)", "Invalid WebSocket close code: 999"),
    (f"{_ACCEPTED} a.close(reason='x')", "you must also specify a code"),
    (f"{_ACCEPTED} a.close(1000, '\u00fc' * 62)", "at most 123 bytes"),
    (f"{_ACCEPTED} a.send(3)", "A message is a str or bytes, not int"),
    (f"{_ACCEPTED} return Response(None, 101, web_socket=a)", "after calling accept()"),
    ("Response(None, 101, web_socket=WebSocketPair()[0]).clone()", "Cannot clone"),
]


async def test_misuse_is_told(start: StartGuest) -> None:
    """What cannot be is a TypeError, in the words of workerd where it has some."""
    ways = "".join(f"async def way_{i}():\n    {way[0]}\n" for i, way in enumerate(MISUSE))
    guest = await start(
        f"from workers import Response, WebSocketPair\n{ways}"
        "async def on_fetch(request): return await globals()[request.url[14:]]()\n"
    )
    for number, (way, words) in enumerate(MISUSE):
        _, said = await guest.open(f"http://w.test/way_{number}", websocket=True)
        error = json.loads(said[control.ERROR])
        assert error["name"] == "TypeError", way
        assert words in error["message"]


async def test_nobody_asked_for_one(start: StartGuest) -> None:
    """A WebSocket is no answer to an ordinary request."""
    guest = await start("""
from workers import Response, WebSocketPair
def on_fetch(request): return Response(None, status=101, web_socket=WebSocketPair()[0])
""")
    reply = await guest.fetch()
    assert reply.error is not None
    assert 'did not contain the header "Upgrade: websocket"' in reply.error["message"]
