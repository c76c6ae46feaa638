"""A Python Worker that speaks to its egress socket by itself, or in the name of another request."""

from __future__ import annotations

import asyncio
from pathlib import Path
from textwrap import dedent

import pytest

from tests.hostile.puppet import Puppet

HOST, TOKEN = "host: o.test\\r\\n", "x-sluice-token: %s\\r\\n"
SAY = """
    token = tokens()[0]
    connection = egress()
    try: connection.sendall(({said}).replace("%s", token).encode("latin-1"))
    except OSError: pass
    answer = b""
    while b"\\r\\n\\r\\n" not in answer:
        try: piece = connection.recv(65536)
        except ConnectionError: break
        if not piece: break
        answer += piece
    return answer.decode("latin-1").partition("\\r\\n")[0]
"""

# What is said, the status of its answer, and how many subrequests come of it.
SAID = {
    "a request": (f"'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}\\r\\n'", "200", 1),
    "no token": (f"'GET http://o.test/ HTTP/1.1\\r\\n{HOST}\\r\\n'", "403", 0),
    "an empty token": ("'GET http://o.test/ HTTP/1.1\\r\\nx-sluice-token:\\r\\n\\r\\n'", "403", 0),
    "a forged token": ("'GET http://o.test/ HTTP/1.1\\r\\nx-sluice-token: ' + 'a' * 48 + '\\r\\n\\r\\n'", "403", 0),
    "half a token": ("'GET http://o.test/ HTTP/1.1\\r\\nx-sluice-token: ' + token[:24] + '\\r\\n\\r\\n'", "403", 0),
    "a token in capitals": ("'GET http://o.test/ HTTP/1.1\\r\\nx-sluice-token: ' + token.upper() + '0\\r\\n\\r\\n'", "403", 0),
    "two tokens": (f"'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}{TOKEN}\\r\\n'", "400", 0),
    "a token behind an underscore": ("'GET http://o.test/ HTTP/1.1\\r\\nx_sluice_token: %s\\r\\n\\r\\n'", "403", 0),
    "a tunnel": (f"'CONNECT 192.0.2.1:80 HTTP/1.1\\r\\n{TOKEN}\\r\\n'", "405", 0),
    "a file": (f"'GET file:///etc/passwd HTTP/1.1\\r\\n{TOKEN}\\r\\n'", "400", 0),
    "another protocol": (f"'GET ftp://o.test/ HTTP/1.1\\r\\n{TOKEN}\\r\\n'", "400", 0),
    "a name and password": (f"'GET http://u:p@o.test/ HTTP/1.1\\r\\n{TOKEN}\\r\\n'", "400", 0),
    "HTTP/2": ("'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n'", "400", 0),
    "noise": ("'\\x16\\x03\\x01\\x02\\x00' * 50 + '\\r\\n\\r\\n'", "", 0),
    "nothing": ("'\\r\\n' * 10 + 'x\\r\\n\\r\\n'", "", 0),
    "two lengths": (f"'POST http://o.test/ HTTP/1.1\\r\\n{TOKEN}content-length: 1\\r\\ncontent-length: 2\\r\\n\\r\\nab'", "400", 0),
    "a length and chunks": (f"'POST http://o.test/ HTTP/1.1\\r\\n{TOKEN}content-length: 1\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n'", "400", 0),
    "chunks that are not": (f"'POST http://o.test/ HTTP/1.1\\r\\n{TOKEN}transfer-encoding: gzip, chunked\\r\\n\\r\\n0\\r\\n\\r\\n'", "400", 0),
    "a folded line": (f"'GET http://o.test/ HTTP/1.1\\r\\na: b\\r\\n {TOKEN}\\r\\n'", "400", 0),
    "a space before the colon": ("'GET http://o.test/ HTTP/1.1\\r\\nx-sluice-token : %s\\r\\n\\r\\n'", "400", 0),
    "bare line ends": ("'GET http://o.test/ HTTP/1.1\\nx-sluice-token: %s\\n\\n\\r\\n\\r\\n'", "400", 0),
    "a NUL": (f"'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}a: \\0\\r\\n\\r\\n'", "400", 0),
    "5,000 headers": (f"'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}' + 'a: b\\r\\n' * 5000 + '\\r\\n'", "431", 0),
    "a long header": (f"'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}a: ' + 'b' * 300000 + '\\r\\n\\r\\n'", "431", 0),
    "a long target": (f"'GET http://o.test/' + 'a' * 200000 + ' HTTP/1.1\\r\\n{TOKEN}\\r\\n'", "414", 0),
    "an upgrade": (f"'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}connection: upgrade\\r\\nupgrade: h2c\\r\\n\\r\\n'", "501", 0),
    "a dispatched Worker": (f"""'GET http://o.test/ HTTP/1.1\\r\\n{TOKEN}x-sluice-get: {{"binding":"dispatcher","name":"victim"}}\\r\\n\\r\\n'""", "200", 1),
}  # fmt: skip


@pytest.mark.parametrize("said", SAID)
async def test_said(solo: Puppet, said: str) -> None:
    """Raw bytes to the egress are a subrequest of the live token that they carry, or refused."""
    code, status, subrequests = SAID[said]
    answer = await solo.run(SAY.replace("{said}", code), name="speaks")
    if status:  # or the connection is reset before the answer is read
        assert answer.split()[1:2] == [status]
    assert len(solo.workers.subrequests) == subrequests
    for _, request in solo.workers.subrequests:
        assert not any(name.startswith("x-sluice") for name, _ in request.headers)


async def test_headers_of_user_code(solo: Puppet) -> None:
    """No library sends a control header that user code set, nor drops the one that is ours."""
    said = await solo.run(
        """
        import http.client
        forged = {"X-Sluice-Token": "f" * 48, "x-sluice-get": "{}", "x-sluice-error": "{}", "x-a": "b"}
        await fetch("http://o.test/fetch", headers=forged)
        def by_urllib():
            urllib.request.urlopen(urllib.request.Request("http://o.test/urllib", headers=forged)).read()
            connection = http.client.HTTPConnection("o.test")
            connection.request("GET", "/client", headers=forged)
            return connection.getresponse().status
        return await asyncio.to_thread(by_urllib)
        """,
        detail="mine",
    )
    assert said == 200
    assert [detail for detail, _ in solo.workers.subrequests] == ["mine"] * 3
    for _, request in solo.workers.subrequests:
        names = [name for name, _ in request.headers]
        assert "x-a" in names
        assert not any(name.startswith("x-sluice") for name in names)


@pytest.mark.parametrize("when", ["after the response", "never"])
async def test_dead_token(solo: Puppet, when: str) -> None:
    """A token is good for no other process, and of a dead invocation for nothing."""
    token = await solo.run("return tokens()[0]", name=f"ends {when}")
    for isolate in solo.workers.runner._pool._isolates.values():
        isolate.invocations.forget_ended(float("inf"))
    name = f"ends {when}" if when == "after the response" else "another"
    request = f"'GET http://o.test/ HTTP/1.1\\r\\nx-sluice-token: {token}\\r\\n\\r\\n'"
    assert "403" in await solo.run(SAY.replace("{said}", request), name=name)
    assert solo.workers.subrequests == []


async def test_descriptors_sent_to_the_host(solo: Puppet) -> None:
    """The service takes no descriptor that comes with a message, and has none more afterwards."""
    said = await solo.run(
        """
        for _ in range(50):
            connection = egress()
            socket.send_fds(connection, [b"GET http://o.test/ HTTP/1.1\\r\\n"], [0, 1, 3] * 20)
            connection.sendall(b"\\r\\n")
            connection.recv(10)
            connection.close()
        return "sent"
        """
    )
    assert said == "sent"


async def test_connections_that_say_nothing(solo: Puppet) -> None:
    """All the connections that a process may have, and no word on them: its neighbours are served."""
    said = await solo.run(
        """
        held = kept["held"] = []
        try:
            while True: held.append(egress())
        except OSError: pass
        return len(held)
        """,
        name="silent",
    )
    assert said > 100
    assert await solo.run("return (await fetch('http://o.test/')).status", name="talks on") == 200
    for isolate in list(solo.workers.runner._pool._isolates.values()):
        if isolate.version.name == "silent":
            await isolate.stop()


# What it does to the broker that it shares with nobody, at descriptor 4.
BROKER = {
    "a flood of asks": "kept['asks'] = threading.Thread(target=lambda: os.write(4, bytes(1 << 24)), daemon=True); kept['asks'].start()",
    "garbage": "os.write(4, os.urandom(100))",
    "answers that nobody takes": "os.write(4, bytes(100))",
    "descriptors": """
b = socket.socket(fileno=os.dup(4))
try:
    for _ in range(50): socket.send_fds(b, [b'x'], [0, 1, 3, 4] * 20)
except OSError: pass  # so many are not let under way""",
    "no more asks": "socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_WR)",
    "no more answers": "socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_RD)",
    "closing it": "os.close(4)",
    "another in its place": "a, b = kept['pair'] = socket.socketpair(); os.dup2(b.fileno(), 4)",
    "connections held to the limit, then more": """
held = kept["held"] = []
try:
    while True: held.append(egress())
except OSError: pass
os.write(4, bytes(100))""",
}  # fmt: skip


@pytest.mark.parametrize("how", BROKER)
async def test_broker(solo: Puppet, how: str) -> None:
    """Whatever it does to its broker ends its own way out at worst; its neighbours have theirs."""
    names = (how, "a neighbour of it", "another neighbour")
    for name in names:  # so that what all of them share is there
        await solo.run("return 1", name=name)
    await _stop(solo, names)
    before = _count_descriptors()
    assert await solo.run(f"{dedent(BROKER[how])}\nreturn 'done'", name=how) == "done"
    for name in names[1:]:
        assert await solo.run("return (await fetch('http://o.test/')).status", name=name) == 200
    assert await solo.run("return 'answers'", name=how) == "answers"
    await _stop(solo, names)
    async with asyncio.timeout(10):
        while _count_descriptors() > before:  # noqa: ASYNC110 - of /proc there is no event
            await asyncio.sleep(0)


async def _stop(puppet: Puppet, names: tuple[str, ...]) -> None:
    for isolate in list(puppet.workers.runner._pool._isolates.values()):
        if isolate.version.name in names:
            await isolate.stop()


def _count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_closed_broker_says_so(solo: Puppet) -> None:
    """What asks a broker that is gone gets an `OSError` at once, in threads and in the loop."""
    said = await solo.run(
        """
        socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_RDWR)
        def by_urllib():
            try: urllib.request.urlopen("http://o.test/")
            except OSError as error: return type(error).__name__
        try: await fetch("http://o.test/")
        except Exception as error: said = str(error)
        return [said, await asyncio.to_thread(by_urllib)]
        """,
        name="without a broker",
    )
    assert said == ["Network connection lost.", "URLError"]


async def test_asking_from_everywhere(solo: Puppet) -> None:
    """Threads, loops of their own and the request's loop ask at once, and each is answered."""
    said = await solo.run(
        """
        import aiohttp
        def by_urllib(): return urllib.request.urlopen("http://o.test/").status
        async def by_aiohttp():
            async with aiohttp.ClientSession() as session:
                async with session.get("http://o.test/") as response: return response.status
        def in_a_loop(): return asyncio.run(by_aiohttp())
        async def by_fetch(): return (await fetch("http://o.test/")).status
        ways = [by_fetch(), by_aiohttp(), asyncio.to_thread(by_urllib), asyncio.to_thread(in_a_loop)]
        blocking = by_urllib()  # while the loop stands still
        return [blocking, *await asyncio.gather(*ways, *(by_fetch() for _ in range(5)))]
        """
    )
    assert said == [200] * 10


async def test_interleaved(solo: Puppet) -> None:
    """Honest code is never attributed to another, however its invocations cross."""
    crossing = """
        import contextvars, random
        mine = kept.setdefault("contexts", [])
        mine.append(contextvars.copy_context())
        answers = []
        for _ in range(3):
            await asyncio.sleep(random.random() / 100)
            answers.append(await (await fetch("http://o.test/")).text())
            answers.append(await asyncio.to_thread(lambda: urllib.request.urlopen("http://o.test/").read().decode()))
        return answers
    """

    async def one(number: int) -> None:
        said = await solo.run(crossing, name="crosses", detail=f"c{number}")
        assert set(said) == {f"for c{number}"}

    await asyncio.gather(*(one(number) for number in range(12)))
