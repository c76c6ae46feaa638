"""An origin that keeps the exact requests it receives, and answers what it is told."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.conformance.messages import Message, read_body, read_head, read_request

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Conversation = Callable[[Message, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_WAIT = 10.0


@dataclass(frozen=True)
class Answer:
    """What to write after a request, and what to do with the connection then."""

    raw: bytes
    end: str = "keep"
    """`keep`, `close` or `reset`."""


def answer(
    status: str = "200 OK", *lines: str | bytes, body: bytes | None = b"ok", end: str = "keep"
) -> Answer:
    """A response with a content-length; with `body=None`, one without body or length."""
    head = [f"HTTP/1.1 {status}".encode()]
    head += [line if isinstance(line, bytes) else line.encode() for line in lines]
    if body is not None:
        head.append(b"content-length: %d" % len(body))
    return Answer(b"\r\n".join(head) + b"\r\n\r\n" + (body or b""), end)


OK = answer()


class Origin:
    """Listens on two ports, so that there are two origins, and on a third for reports.

    Workers post to the third what they saw: JSON with `who`.
    """

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.reports: list[dict[str, Any]] = []
        self.answers: list[Answer] = [OK]
        self.conversation: Conversation | None = None
        """Takes the place of `answers`: it is given a connection behind a request's head."""
        self.open = 0
        """Connections that are open."""
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Listen."""
        for serve in (self._serve, self._serve, self._serve_reports):
            server = await asyncio.start_server(
                self._connected(serve), "127.0.0.1", 0, limit=1 << 20
            )
            self._servers.append(server)
        first, second, reports = (s.sockets[0].getsockname()[1] for s in self._servers)
        self.url = f"http://127.0.0.1:{first}"
        self.variables = {
            "ORIGIN": self.url,
            "OTHER": f"http://127.0.0.1:{second}",
            "REPORT": f"http://127.0.0.1:{reports}/",
        }

    async def stop(self) -> None:
        """Close all."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self, *answers: Answer, conversation: Conversation | None = None) -> None:
        """Forget what was seen; give these answers in turn, the last again and again."""
        self.requests, self.reports = [], []
        self.answers = list(answers) or [OK]
        self.conversation = conversation

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that the origin sees is so."""
        async with asyncio.timeout(_WAIT), self._changed:
            await self._changed.wait_for(condition)

    async def report(self, **fields: Any) -> dict[str, Any]:
        """The first report with these fields, now or to come."""

        def found() -> list[dict[str, Any]]:
            return [report for report in self.reports if fields.items() <= report.items()]

        await self.until(lambda: bool(found()))
        return found()[0]

    def _connected(self, serve: Connected) -> Connected:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            await self._count(1)
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # the other end has closed, or the tests are over
            finally:
                self._tasks.discard(task)
                writer.transport.abort()
                await self._count(-1)

        return connected

    async def _count(self, change: int) -> None:
        self.open += change
        await self._say()

    async def _say(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = Message(*await read_head(reader))
            if self.conversation is not None:
                await self.conversation(request, reader, writer)
                return
            await read_body(reader, request, until_close=False)
            self.requests.append(request)
            await self._say()
            if request.ended == "cut":
                return
            answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
            is_head = request.start.startswith("HEAD ")
            writer.write(answer.raw.split(b"\r\n\r\n")[0] + b"\r\n\r\n" if is_head else answer.raw)
            await writer.drain()
            if answer.end != "keep":
                end(writer, answer.end)
                return

    async def _serve_reports(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            said = await read_request(reader)
            self.reports.append(json.loads(said.body))
            await self._say()
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def end(writer: asyncio.StreamWriter, how: str) -> None:
    """Close a connection: `close` after what was written, or `reset`."""
    if how == "reset":
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
