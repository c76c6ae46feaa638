"""The broker against whoever holds its far side, which is any Python code."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from sluice.http1.server import Exchange, Limits, Server
from sluice.isolate import control
from sluice.isolate.broker import Broker
from sluice.wire.body import Whole
from sluice.wire.messages import Response

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MAX_CONNECTIONS = 64


@dataclass
class Way:
    """A broker to a server, seen from the far side."""

    broker: Broker
    server: Server
    far: socket.socket

    @property
    def open(self) -> int:
        """How many connections the server has."""
        return len(self.server._serving.connections)

    def ask(self, times: int = 1) -> None:
        """Ask, without waiting."""
        self.far.setblocking(True)
        self.far.sendall(bytes(times))

    async def take(self) -> list[int]:
        """The descriptors of the next answer."""

        def receive() -> list[int]:
            answer, descriptors, _, _ = socket.recv_fds(self.far, 1, 1)
            assert answer == b"\0"
            return descriptors

        self.far.settimeout(10)
        return await asyncio.to_thread(receive)

    async def connection(self) -> socket.socket:
        """Ask for a connection, and get it."""
        self.ask()
        (descriptor,) = await self.take()
        return socket.socket(fileno=descriptor)

    async def is_serving(self) -> bool:
        """Whether a request on a new connection is answered."""
        with await self.connection() as connection:
            return await answered(connection)


async def answered(connection: socket.socket) -> bool:
    """Whether a request is answered there."""
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    writer.write(GET)
    line = await reader.readline()
    writer.close()
    return line == b"HTTP/1.1 200 OK\r\n"


async def answer(_: Exchange) -> Response:
    """An answer that no socket's buffer holds."""
    return Response(200, [], Whole(bytes(4 << 20)))


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    """A broker, and a server that it connects to."""
    folder = Path(tempfile.mkdtemp(prefix="sl-"))
    path = str(folder / "egress.sock")
    server = Server(answer, on_error=control.thrown, limits=Limits(max_connections=MAX_CONNECTIONS))
    await server.listen_unix(path)
    broker = Broker(path)
    far = broker.far.dup()
    broker.far.close()
    with far:
        yield Way(broker, server, far)
    await broker.aclose()
    await server.close(grace=0)
    shutil.rmtree(folder)


def descriptors() -> Iterator[str]:
    """What is open in this process."""
    return (entry.name for entry in Path("/proc/self/fd").iterdir())


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until `condition` holds; pytest's timeout is the deadline."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


async def test_each_ask_is_a_connection(way: Way) -> None:
    """As many as are asked for, at once and one by one, each its own."""
    way.ask(20)
    connections = [socket.socket(fileno=number) for _ in range(20) for number in await way.take()]
    assert len(connections) == 20
    for connection in connections:
        assert await answered(connection)
    assert await way.is_serving()


async def test_asks_whose_answers_nobody_reads(way: Way) -> None:
    """A flood of asks costs a few connections until its answers are read, and blocks nobody."""
    way.far.setblocking(False)
    sent = 0
    try:
        while True:
            sent += way.far.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    await until(lambda: way.open > 4)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert sent > 1 << 16
    assert 4 < way.open < 16
    assert not way.broker._serving.done()


async def test_a_flood_that_is_read(way: Way) -> None:
    """Connections end where the server's limit is: one more is closed at once."""
    way.ask(3 * MAX_CONNECTIONS)
    held = [number for _ in range(3 * MAX_CONNECTIONS) for number in await way.take()]
    await until(lambda: way.open == MAX_CONNECTIONS)
    open_ones = 0
    for number in held:
        with socket.socket(fileno=number) as connection:
            connection.setblocking(False)
            try:
                connection.recv(1)
            except BlockingIOError:
                open_ones += 1
            except ConnectionResetError:
                pass
    assert open_ones == MAX_CONNECTIONS
    await until(lambda: way.open == 0)
    assert await way.is_serving()


async def test_garbage(way: Way) -> None:
    """Whatever is said is an ask for each byte: nothing is parsed."""
    way.far.sendall(b'\xff{"fd": 3}\r\n'[:10])
    for _ in range(10):
        (number,) = await way.take()
        os.close(number)
    assert await way.is_serving()


async def test_descriptors_sent_along(way: Way) -> None:
    """Descriptors that come with an ask are dropped: nobody here holds or uses them."""
    before = len(list(descriptors()))
    for _ in range(20):
        read_end, write_end = os.pipe()
        socket.send_fds(way.far, [b"\0"], [write_end] * 50)
        os.close(write_end)
        (number,) = await way.take()
        os.close(number)
        assert os.read(read_end, 1) == b""  # its end: no copy of the other end is left
        os.close(read_end)
    await until(lambda: len(list(descriptors())) == before)


@pytest.mark.parametrize("asked", [0, 1, 1000])  # 1000: its answers are not all on their way
async def test_closing(way: Way, asked: int) -> None:
    """Where its process has closed it the broker ends, and with it what nobody took."""
    connection = await way.connection()
    way.ask(asked)
    await until(lambda: way.open > min(asked, 4))
    way.far.close()
    async with asyncio.timeout(10):
        await asyncio.wait([way.broker._serving])
    await until(lambda: way.open == 1)
    assert await answered(connection)


@pytest.mark.parametrize("asked", [0, 1, 1000])
@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR])
async def test_half_open(way: Way, how: int, asked: int) -> None:
    """Half closed, it costs no more than what is unread, and harms no connection that is there."""
    connection = await way.connection()
    way.ask(asked)
    way.far.shutdown(how)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert way.open < 16
    assert await answered(connection)


async def test_asks_no_more(way: Way) -> None:
    """One who asks no more still gets the answers to what was asked."""
    way.ask(30)
    way.far.shutdown(socket.SHUT_WR)
    for _ in range(30):
        (number,) = await way.take()
        os.close(number)
    async with asyncio.timeout(10):
        await asyncio.wait([way.broker._serving])
    assert way.far.recv(1) == b""


async def test_blocking_is_its_own(way: Way) -> None:
    """A far side that makes its ends block, and reads nothing, blocks nobody else."""
    way.far.setblocking(True)
    connection = await way.connection()
    connection.setblocking(True)
    connection.sendall(GET * 100)
    way.ask(1000)
    await until(lambda: way.server.in_flight == 1)
    for _ in range(100):
        await asyncio.sleep(0)
    assert os.get_blocking(way.broker._near.fileno()) is False
    connection.close()


async def test_nobody_accepts(tmp_path: Path) -> None:
    """Where the egress takes no more, or is gone, the answer is one without a descriptor."""
    with socket.socket(socket.AF_UNIX) as full:
        os.chdir(tmp_path)
        full.bind("full.sock")
        full.listen(0)
        for path in ("full.sock", "gone.sock"):
            broker = Broker(path)
            with broker.far.dup() as far:
                far.settimeout(10)
                far.sendall(bytes(3))
                taken = [await asyncio.to_thread(socket.recv_fds, far, 1, 1) for _ in range(3)]
            assert [answer for answer, *_ in taken] == [b"\0"] * 3
            numbers = [number for _, numbers, *_ in taken for number in numbers]
            assert len(numbers) == (1 if path == "full.sock" else 0)
            for number in numbers:
                os.close(number)
            await broker.aclose()


OTHERS_IN_FLIGHT = """
    import asyncio, concurrent.futures.thread, os, resource, socket, sys
    sys.path.insert(0, sys.argv[1])
    from sluice.isolate.broker import Broker

    async def main():
        os.setresuid(54321, 54321, 54321)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("egress.sock")
            listener.listen()
            broker = Broker("egress.sock")
            one, other = socket.socketpair()
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            try:
                while True:
                    socket.send_fds(one, [b"x"], [0] * 60)
            except OSError as error:
                print(error.errno)
            broker.far.settimeout(5)
            for _ in range(2):
                broker.far.sendall(b"?")
                print(len((await asyncio.to_thread(socket.recv_fds, broker.far, 1, 1))[1]))
                other.close()
                await asyncio.sleep(0.1)
            await broker.aclose()

    asyncio.run(main())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="takes another uid, whose descriptors are counted")
def test_too_many_in_flight(tmp_path: Path) -> None:
    """Where the kernel lets no more descriptors under way it says so, and goes on afterwards."""
    tmp_path.chmod(0o777)
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", dedent(OTHERS_IN_FLIGHT), root],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.split() == [str(errno.ETOOMANYREFS), "0", "1"], done.stderr
