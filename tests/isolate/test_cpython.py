"""Python Workers: the same protocol, limits and ends as workerd's, in a forked CPython."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from sluice.isolate import control, cpython
from sluice.isolate.invocation import Limits
from sluice.isolate.program import Language, language_of
from sluice.isolate.sandbox.launcher import Launcher
from sluice.pb import worker_pb2
from sluice.wire.errors import Reason, SluiceError
from tests.isolate.workers import MakeWorkers, Workers

_Kind = worker_pb2.Module
HELLO = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("hello from " + request.url)
"""
CALLS = """
from workers import Response, WorkerEntrypoint, fetch

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("got " + await (await fetch("https://api.example.com/x")).text())
"""


def handler(body: str, *, before: str = "") -> str:
    """A Worker whose `fetch` has that body, one statement a line."""
    lines = "\n".join("        " + line for line in body.strip("\n").splitlines())
    return (
        f"import asyncio, os, time\nfrom workers import Response, WorkerEntrypoint, fetch\n{before}\n"
        f"class Default(WorkerEntrypoint):\n    async def fetch(self, request):\n{lines}\n"
    )


def python(source: str, **settings: Any) -> worker_pb2.Bundle:
    """A bundle with one Python module."""
    module = _Kind(name="main.py", kind=_Kind.KIND_PYTHON, content=source.encode())
    return worker_pb2.Bundle(
        main_module="main.py", modules=[module], compatibility_date="2026-01-01", **settings
    )


def pids(workers: Workers) -> list[int]:
    """The processes of the pool."""
    return [isolate._process.pid for isolate in workers.runner._pool._isolates.values()]


def zygotes(workers: Workers) -> list[Launcher]:
    """The launchers whose zygote runs."""
    launchers = workers.runner._launchers
    return [one for one in (launchers._workerd, launchers._python) if one and one._zygote]


async def test_hello(workers: Workers) -> None:
    """A user Worker answers, with the request's whole URL."""
    assert await workers.fetch(python(HELLO)) == (200, "hello from http://acme.example.com/")


async def test_subrequest(workers: Workers) -> None:
    """Its `fetch()` is a subrequest of its invocation, from the process that the service forked."""
    assert await workers.fetch(python(CALLS), detail="acme") == (200, "got for acme")
    [(detail, request)] = workers.subrequests
    assert (detail, request.url) == ("acme", "https://api.example.com/x")


async def test_direct(make_workers: MakeWorkers) -> None:
    """A dispatch Worker's `get()` leaves with what it chose, and its own `fetch()` without."""
    source = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        worker = self.env.dispatcher.get("acme", {}, {"outbound": {"params_object": {"a": 1}}})
        return await worker.fetch("https://acme.example.com/")
"""
    workers, seen = make_workers(trusted=True), {}

    async def answer(_: object, exchange: Any) -> Any:
        seen.update(json.loads(exchange.control[control.GET]))
        raise SluiceError(Reason.WORKER_NOT_FOUND, "no acme")

    workers.answer = answer
    binding = worker_pb2.DispatchNamespaceBinding(
        binding="dispatcher", dispatch_namespace="production"
    )
    with pytest.raises(SluiceError, match="Worker not found"):
        await workers.fetch(python(source, dispatch_namespaces=[binding]))
    assert (seen["binding"], seen["name"]) == ("dispatcher", "acme")
    assert seen["outbound"] == {"params_object": {"a": 1}}


async def test_params_of_a_request(make_workers: MakeWorkers) -> None:
    """An Outbound Worker finds what its request was given in `env`, beside its own bindings."""
    workers = make_workers(trusted=True)
    source = python(
        handler('return Response(self.env.customer_name + " " + self.env.KEY)'),
        secrets={"KEY": "s3cret"},
    )
    for name in ("acme", "globex"):
        said = {control.ENV: control.encode({"customer_name": name})}
        assert await workers.fetch(source, said=said) == (200, f"{name} s3cret")


async def test_exception(workers: Workers) -> None:
    """What the Worker raises has its name and message."""
    source = python(handler('raise LookupError("no such thing")'))
    with pytest.raises(SluiceError, match="LookupError: no such thing") as raised:
        await workers.fetch(source)
    assert raised.value.reason is Reason.WORKER_EXCEPTION


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def f(:\n", r"main\.py.*1"),
        ("\n\nimport nowhere\n", r"nowhere"),
        ("x = 1\n", r"."),
    ],
)
async def test_load_failure(workers: Workers, source: str, says: str) -> None:
    """A Worker that cannot be loaded says why to each request, from one process."""
    bundle = python(source)
    for _ in range(2):
        with pytest.raises(SluiceError, match=says) as raised:
            await workers.fetch(bundle)
        assert raised.value.reason is Reason.WORKER_LOAD_FAILED
    assert len(pids(workers)) == 1


async def test_output(workers: Workers) -> None:
    """What it prints is kept by lines, at once."""
    await workers.fetch(python(handler('print("one\\ntwo")\nreturn Response("")')))
    lines: list[str] = []
    async with asyncio.timeout(5):
        async for line in workers.runner.output.follow(("ns", "acme"), forever=True):
            lines.append(line.text)
            if len(lines) == 2:
                break
    assert lines == ["one", "two"]


LOOPS = {
    "a loop": "while True: pass",
    "a loop that holds the GIL": "9 ** 9 ** 9",
    "a regular expression": 'import re; re.match(r"(a+)+$", "a" * 64 + "b")',
}


@pytest.mark.parametrize("loop", LOOPS)
async def test_cpu(workers: Workers, loop: str) -> None:
    """A loop ends with its process; the next request has a fresh one."""
    source = python(
        handler(f'if request.url.endswith("loop"):\n    {LOOPS[loop]}\nreturn Response("ok")')
    )
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, "http://a.test/loop", limits=Limits(cpu=0.3))
    assert raised.value.reason is Reason.EXCEEDED_CPU
    assert await workers.fetch(source) == (200, "ok")


async def test_wall_time(make_workers: MakeWorkers) -> None:
    """A handler that waits for ever is given up."""
    workers = make_workers(wall_time=0.5)
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(python(handler("await asyncio.Event().wait()")))
    assert raised.value.reason is Reason.EXCEEDED_WALL_TIME


BOMBS = {
    "bytes": "for _ in range(10**6): kept.append(bytearray(16 << 20))",
    "objects": "for _ in range(10**9): kept.append([0] * 1000)",
    "shared maps": "import mmap\nfor _ in range(10**6): kept.append(mmap.mmap(-1, 16 << 20))",
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_memory(workers: Workers, bomb: str) -> None:
    """Too much memory is a MemoryError, and a Worker that catches it goes on."""
    body = "\n".join("    " + line for line in BOMBS[bomb].splitlines())
    source = python(
        handler(
            f"kept = []\ntry:\n{body}\nexcept (MemoryError, OSError) as error:\n"
            '    kept.clear()\n    return Response("full")'
        )
    )
    assert await workers.fetch(source) == (200, "full")
    assert await workers.fetch(source) == (200, "full")
    assert len(pids(workers)) == 1


async def test_threads(workers: Workers) -> None:
    """A Worker may have dozens of threads; a bomb of them is an error in it, and its process lives."""
    source = python(
        handler(
            """
done, threads = threading.Event(), []
try:
    while len(threads) < 10_000:
        thread = threading.Thread(target=done.wait)
        thread.start()
        threads.append(thread)
except RuntimeError:
    pass
done.set()
for thread in threads: thread.join()
return Response(str(len(threads)))
""",
            before="import threading",
        )
    )
    for _ in range(2):
        status, count = await workers.fetch(source)
        assert status == 200
        assert 50 < int(count) < 500
    assert len(pids(workers)) == 1


async def test_uncaught_memory_error(workers: Workers) -> None:
    """A Worker that does not catch it has exceeded its memory, and the next request is served."""
    source = python(
        handler('if request.url.endswith("bomb"): bytearray(1 << 40)\nreturn Response("ok")')
    )
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, "http://a.test/bomb")
    assert raised.value.reason is Reason.EXCEEDED_MEMORY
    assert await workers.fetch(source) == (200, "ok")


async def test_death_by_memory(workers: Workers) -> None:
    """A process that ends for lack of memory is EXCEEDED_MEMORY, and there is a next one."""
    source = python(
        handler(
            'if not request.url.endswith("bomb"): return Response("ok")\n'
            'print("MemoryError")\nos._exit(1)'
        )
    )
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(source, "http://a.test/bomb")
    assert raised.value.reason is Reason.EXCEEDED_MEMORY
    assert await workers.fetch(source) == (200, "ok")


async def test_recycling(make_workers: MakeWorkers) -> None:
    """A process over the watermark is replaced."""
    workers = make_workers(recycle_bytes=1)
    await workers.fetch(python(HELLO), name="a")
    [isolate] = workers.runner._pool._isolates.values()
    async with asyncio.timeout(10):
        await isolate.dead.wait()


async def test_no_zygote_without_python(workers: Workers) -> None:
    """A service without Python Workers has no Python zygote, and one with has one."""
    await workers.fetch("export default { fetch() { return new Response('js') } }")
    assert len(zygotes(workers)) == 1
    await workers.fetch(python(HELLO))
    await workers.fetch(python(HELLO), name="other")
    assert len(zygotes(workers)) == 2


async def test_a_process_each(workers: Workers) -> None:
    """Two Workers with one bundle have two processes, each with its own random numbers."""
    source = python(handler("return Response(str(random.random()))", before="import random"))
    said = [await workers.fetch(source, name=name) for name in ("a", "b")]
    assert said[0] != said[1]
    assert len(set(pids(workers))) == 2


async def test_cold_start(workers: Workers) -> None:
    """Once there is a zygote, a first byte takes less than 150 ms at the median."""
    await workers.fetch(python(HELLO))
    took = []
    for number in range(5):
        began = time.perf_counter()
        await workers.fetch(python(HELLO), name=f"w{number}")
        took.append(time.perf_counter() - began)
    assert sorted(took)[2] < 0.15


async def test_one_request_each(make_workers: MakeWorkers) -> None:
    """With `python_once` no two requests meet in a process, one after the other or at once."""
    workers = make_workers(python_once=True)
    source = python(
        handler("count.append(1)\nreturn Response(str(len(count)))", before="count = []")
    )
    answers = await asyncio.gather(*(workers.fetch(source) for _ in range(4)))
    assert {*answers, await workers.fetch(source)} == {(200, "1")}
    javascript = "let n = 0; export default { fetch() { return new Response(String(++n)) } }"
    assert [await workers.fetch(javascript) for _ in range(2)] == [(200, "1"), (200, "2")]


async def test_one_request_ends(make_workers: MakeWorkers) -> None:
    """A process for one request ends by itself, once the work after the response is done."""
    workers = make_workers(python_once=True)
    body = 'self.ctx.wait_until(fetch("https://log.example.com/"))\nreturn Response("ok")'
    assert await workers.fetch(python(handler(body))) == (200, "ok")
    [isolate] = workers.runner._pool._isolates.values()
    async with asyncio.timeout(10):
        await isolate.dead.wait()
    assert await workers.until(1) == ["https://log.example.com/"]


async def test_neighbours_have_no_names(workers: Workers) -> None:
    """What the zygote's forks share says nothing of a neighbour's folder, whose name is a secret."""
    await workers.fetch(python(HELLO), name="neighbour")
    [isolate] = workers.runner._pool._isolates.values()
    await workers.fetch(python(HELLO), name="other")
    [other] = {one for one in workers.runner._pool._isolates.values() if one is not isolate}
    secret = isolate._folder.path.name.encode()
    process = Path(f"/proc/{other._process.pid}")
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            span, rights, *_ = line.split()
            first, last = (int(part, 16) for part in span.split("-"))
            if rights.startswith("rw"):
                memory.seek(first)
                with contextlib.suppress(OSError):
                    assert secret not in memory.read(last - first)


def test_files() -> None:
    """Each module has a file, and the config says which and what a Worker is bound to."""
    bundle = python("x = 1", secrets={"KEY": "s"}, compatibility_flags=["python_workers"])
    bundle.vars.update({"NUMBER": 1})
    bundle.modules.append(_Kind(name="a.bin", kind=_Kind.KIND_DATA, content=b"\0"))
    files = cpython.files_of(bundle, "user")
    config = json.loads(files.pop(cpython.CONFIG))
    assert files == {"modules/main.py": b"x = 1", "modules/a.bin": b"\0"}
    assert config["modules"][1] == {"name": "a.bin", "kind": "data", "file": "modules/a.bin"}
    assert config["bindings"] == {"NUMBER": 1, "KEY": "s"}
    assert (config["role"], config["main"], config["once"]) == ("user", "main.py", False)


def test_other_modules() -> None:
    """JavaScript beside Python is refused, by name."""
    bundle = python("")
    bundle.modules.append(_Kind(name="a.js", kind=_Kind.KIND_ES_MODULE))
    with pytest.raises(SluiceError, match=r"'a\.js': a KIND_ES_MODULE module is not for CPython"):
        cpython.files_of(bundle, "user")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/etc/passwd", "relative"),
        ("../egress.sock", "relative"),
        ("a/../../b.py", "relative"),
        ("a//b.py", "relative"),
        ("./a.py", "relative"),
        ("", "relative"),
        ("a\0.py", "relative"),
        ("a" * 256, "too long"),
        ("a/" * 12 + "b.py", "too long"),
        ("main.py/a.py", "folder"),
    ],
)
def test_names(name: str, says: str) -> None:
    """A module is written by the service, so its name leads nowhere else."""
    bundle = python("")
    bundle.modules.append(_Kind(name=name, kind=_Kind.KIND_PYTHON))
    with pytest.raises(SluiceError, match=says) as raised:
        cpython.files_of(bundle, "user")
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED


def test_language() -> None:
    """The main module says what runs the Worker."""
    assert language_of(python("")) is Language.PYTHON
    assert language_of(worker_pb2.Bundle(main_module="x.js")) is Language.JAVASCRIPT
