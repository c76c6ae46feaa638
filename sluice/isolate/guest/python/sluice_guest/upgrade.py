"""How a WebSocket leaves: as the rest of the connection that its request came in."""

from __future__ import annotations

import base64
import hashlib

from aiohttp import hdrs, web

from sluice_guest.answer import Answer, copy_headers
from sluice_guest.background import Background
from sluice_guest.frames import Frames
from sluice_guest.websocket import join
from workers.response import Response
from workers.websocket import WebSocket

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def send(
    response: Response, socket: WebSocket, http: web.BaseRequest, background: Background
) -> web.StreamResponse:
    """Open the WebSocket that a request asked for, and carry its messages until it is over."""
    far = socket.use()
    answer = Answer(status=101)
    copy_headers(response, answer)
    answer.headers[hdrs.CONNECTION] = "Upgrade"
    answer.headers[hdrs.UPGRADE] = "websocket"
    answer.headers[hdrs.SEC_WEBSOCKET_ACCEPT] = _accept(http.headers[hdrs.SEC_WEBSOCKET_KEY])
    answer.force_close()
    try:
        await answer.prepare(http)
        near = Frames(http.protocol, is_client=False)
        http.protocol.set_parser(near.parser)
        await join(near, far)
    finally:
        far.close()
        if socket.other is not None:
            background.add(socket.other.heard())
    await answer.write_eof()
    return answer


def _accept(key: str) -> str:
    """What the answer to a request with `key` must say (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
