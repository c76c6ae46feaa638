"""A Python Worker that eats: memory in and out of its limits, threads, descriptors, CPU time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from sluice.isolate.invocation import Limits
from sluice.isolate.pool import PoolConfig
from sluice.isolate.program import user_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.hostile.puppet import Puppet, python_bundle
from tests.isolate.workers import Workers

MEMORY, CPU = Reason.EXCEEDED_MEMORY, Reason.EXCEEDED_CPU

# What it does, and how that ends: an exception of its own is one that it may also catch.
BOMBS = {
    "a list": ("x = []\nwhile True: x.append(bytearray(1 << 20))", MEMORY),
    "a text": ("x = 'a'\nwhile True: x += x", MEMORY),
    "a dictionary": ("x = {}\nwhile True: x[len(x)] = str(len(x))", MEMORY),
    "private maps": ("x = []\nwhile True: x.append(mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE)); x[-1].write(b'a' * (1 << 20))", "ENOMEM"),
    "shared maps": ("x = []\nwhile True: x.append(mmap.mmap(-1, 1 << 20)); x[-1].write(b'a' * (1 << 20))", "ENOMEM"),
    "malloc": ("""
        libc.malloc.restype = ctypes.c_void_p
        while place := libc.malloc(ctypes.c_size_t(1 << 20)): ctypes.memset(place, 1, 1 << 20)
        raise MemoryError""", MEMORY),
    "brk": ("""
        top = call(12, 0)
        while call(12, top + (1 << 20)) > top: top += 1 << 20
        raise MemoryError""", MEMORY),
    "a zip bomb": ("""
        import zlib
        packer = zlib.compressobj()
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(250)) + packer.flush()
        return len(zlib.decompress(packed))""", MEMORY),
    "a nest": ("x = []\nfor _ in range(2 * 10 ** 6): x = [x]\nrepr(x)", Reason.WORKER_EXCEPTION),
    "recursion": ("def f(): return f()\nf()", Reason.WORKER_EXCEPTION),
    "recursion without a limit": ("sys.setrecursionlimit(1 << 30)\nclass A:\n    def __getattr__(self, name): return getattr(self, name + 'a')\nA().b", None),
    "a regex": ("import re; re.match('(a+)+$', 'a' * 60 + 'b')", CPU),
    "a power": ("3 ** 10 ** 9", CPU),
    "a loop": ("while True: pass", CPU),
    "a loop that yields": ("while True: await asyncio.sleep(0)", CPU),
    "a loop without the GIL": ("import hashlib; d = bytes(1 << 20)\nwhile True: hashlib.sha512(d)", CPU),
    "a loop in a thread": ("def spin():\n    while True: pass\nt = threading.Thread(target=spin, daemon=True); t.start(); await asyncio.sleep(30)", CPU),
    "a loop past asyncio's threads": ("import _thread\ndef spin():\n    while True: pass\n_thread.start_new_thread(spin, ())\nawait asyncio.sleep(30)", CPU),
    "small threads": ("threading.stack_size(32768); e = threading.Event()\nwhile True: threading.Thread(target=e.wait, daemon=True).start()", MEMORY),
    "an abort": ("os.abort()", Reason.ISOLATE_DIED),
    "a null pointer": ("ctypes.string_at(0)", Reason.ISOLATE_DIED),
    "an exit": ("os._exit(0)", Reason.ISOLATE_DIED),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
async def test_bomb(solo: Puppet, bomb: str) -> None:
    """It ends for itself and says why; its next request is served, and a neighbour never notices."""
    source, expected = BOMBS[bomb]
    neighbour = await solo.run("return os.getpid()", name="a neighbour")
    try:
        ended = await solo.run(source, limits=Limits(cpu=0.5 if expected is CPU else 20))
    except SluiceError as error:
        ended = error.reason
    assert ended == expected or (expected is None and isinstance(ended, Reason))
    assert await solo.run("return 'served'") == "served"
    assert await solo.run("return os.getpid()", name="a neighbour") == neighbour


async def test_sockets_hold_little(solo: Puppet) -> None:
    """What waits in sockets is in no limit of a process: so there are few, and small ones."""
    said = await solo.run(
        """
        one, other = socket.socketpair()
        one.setblocking(False)
        held = 0
        try:
            while True: held += one.send(bytes(65536))
        except BlockingIOError: pass
        made = []
        try:
            while True: made.append(os.dup(0))
        except OSError: pass
        for each in made: os.close(each)
        return held, len(made)
        """
    )
    held, descriptors = said
    assert held < 512 * 1024
    assert descriptors < 1024


async def test_descriptors_in_flight(solo: Puppet) -> None:
    """Descriptors that are under way in messages are no way to have more of them: unix(7)."""
    said = await solo.run(
        """
        carrier, _ = kept["carrier"] = socket.socketpair()
        carrier.setblocking(False)
        sent = 0
        try:
            while sent < 100_000: sent += len(socket.send_fds(carrier, [b"x"], [0] * 200) * [0] * 200)
        except OSError: pass
        return sent
        """
    )
    assert said <= 2048
    assert await solo.run("return 'served'", name="another") == "served"


HOLDER = python_bundle(
    """
    import asyncio
    from workers import Response

    async def body():
        while True:
            yield b"x"
            await asyncio.sleep(1)

    async def on_fetch(request):
        if "bomb" in request.url:
            raise MemoryError
        return Response(body())
    """
)


async def test_processes_do_not_pile_up(solo: Puppet) -> None:
    """A Worker that breaks a limit and holds a request open, again and again, has few processes."""
    held = []
    for _ in range(8):
        held.append(await solo.workers.start(HOLDER, Request("GET", "http://a.test/")))
        with pytest.raises(SluiceError, match="memory"):
            await solo.workers.fetch(HOLDER, "http://a.test/bomb")
    assert len(solo.workers.runner._pool._retired) <= 3
    for response in held:
        await response.aclose()


@pytest_asyncio.fixture(loop_scope="session")
async def impatient(solo: Puppet) -> AsyncIterator[Puppet]:
    """The same attacker where no invocation may take more than half a second."""
    config = solo.workers.runner._config
    workers = Workers()
    workers.runner = Runner(
        RunnerConfig(config.runtime, PoolConfig(max_isolates=8), wall_time=0.5),
        workers.bundle,
        user_program,
        workers.on_subrequest,
    )
    workers.runner.begin()
    yield replace(solo, workers=workers)
    await workers.runner.aclose()


WEDGES = {
    "sleeps": "time.sleep(1000)",
    "stops itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "waits for a lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "reads from a pipe": "r, w = os.pipe(); os.read(r, 1)",
    "writes to its egress": "c = egress(); c.settimeout(None)\nwhile True: c.sendall(b'GET http://a.test/ HTTP/1.1\\r\\nx-sluice-token: x\\r\\n\\r\\n')",
    "dials itself": "c = _socket.socket(1, 1); c.connect('in.sock'); c.sendall(b'GET http://a.test/ HTTP/1.1\\r\\n\\r\\n'); c.recv(1)",
    "waits for ever": "await asyncio.Event().wait()",
    "closes its listener": "os.close(3)",
    "closes all": "os.closerange(0, 1024)",
    "ends its loop": "asyncio.get_running_loop().stop()",
    "cancels all": "[task.cancel() for task in asyncio.all_tasks()]; await asyncio.sleep(0)",
}  # fmt: skip


@pytest.mark.parametrize("wedge", WEDGES)
async def test_wedged(impatient: Puppet, wedge: str) -> None:
    """A process that answers nobody any more is replaced, after at most two requests."""
    for source in (WEDGES[wedge], "return 1"):
        try:
            await asyncio.gather(*(impatient.run(source) for _ in range(2)), return_exceptions=True)
        except SluiceError:
            continue
    assert await impatient.run("return 'served'") == "served"
