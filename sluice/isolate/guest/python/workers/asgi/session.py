"""One WebSocket of an application."""

from __future__ import annotations

import asyncio

from workers.asgi.lifespan import lifespan
from workers.asgi.scope import App, Event, Scope, headers_of
from workers.response import Response
from workers.websocket import WebSocketPair

_FAILED = 1011


class Session:
    """What an application receives and sends of a WebSocket."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        """The response, once the application accepts or refuses."""
        self._client, self._server = WebSocketPair()
        self._server.accept()
        self._is_connected = False

    async def run(self, app: App, scope: Scope) -> None:
        """Run an application. Raises what it raises once the WebSocket is open."""
        code = _FAILED
        try:
            async with lifespan(app) as state:
                await app({**scope, "state": dict(state)}, self._receive, self._send)
            code = 1000
            if not self.opened.done():
                raise RuntimeError("The application did not accept or close the WebSocket.")
        except Exception as error:
            if self.opened.done():
                raise
            self.opened.set_exception(error)
        finally:
            self._server.close(code)

    async def _receive(self) -> Event:
        if not self._is_connected:
            self._is_connected = True
            return {"type": "websocket.connect"}
        async for message in self._server:
            kind = "text" if isinstance(message, str) else "bytes"
            return {"type": "websocket.receive", kind: message}
        code, reason = self._server.close_code, self._server.close_reason
        return {"type": "websocket.disconnect", "code": code, "reason": reason}

    async def _send(self, event: Event) -> None:
        match event["type"]:
            case "websocket.accept":
                self._accept(event)
            case "websocket.send":
                text = event.get("text")
                await self._server.send(event["bytes"] if text is None else text)
            case "websocket.close" if not self.opened.done():
                self.opened.set_result(Response(None, 403))
            case "websocket.close":
                self._server.close(event.get("code", 1000), event.get("reason"))
            case other:
                raise RuntimeError(f"ASGI: unexpected event {other!r}")

    def _accept(self, event: Event) -> None:
        headers = headers_of(event)
        if protocol := event.get("subprotocol"):
            headers.append(("sec-websocket-protocol", protocol))
        self.opened.set_result(Response(None, 101, headers=headers, web_socket=self._client))
