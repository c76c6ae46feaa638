"""Whose subrequest it is: by every way Python has to start something."""

from __future__ import annotations

import asyncio

from tests.isolate.python.conftest import StartGuest

_PRELUDE = """
import asyncio, concurrent.futures, contextvars, queue, threading, urllib.request
from workers import Response, fetch, wait_until

pool = concurrent.futures.ThreadPoolExecutor(2)

def get(url="http://origin.test/"):
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()

async def text(url="http://origin.test/"):
    return await (await fetch(url)).text()
"""

WAYS = {
    "await": "return Response(await text())",
    "task": "return Response(await asyncio.create_task(text()))",
    "gather": "return Response((await asyncio.gather(text(), text()))[1])",
    "task group": """
    async with asyncio.TaskGroup() as group:
        task = group.create_task(text())
    return Response(task.result())""",
    "to_thread": "return Response(await asyncio.to_thread(get))",
    "run_in_executor": """
    loop = asyncio.get_running_loop()
    return Response(await loop.run_in_executor(None, get))""",
    "own executor": """
    loop = asyncio.get_running_loop()
    return Response(await loop.run_in_executor(pool, get))""",
    "submit": "return Response(await asyncio.wrap_future(pool.submit(get)))",
    "map": "return Response(await asyncio.to_thread(lambda: list(pool.map(get, ['http://a/']))[0]))",
    "thread": """
    found = queue.Queue()
    thread = threading.Thread(target=lambda: found.put(get()))
    thread.start()
    await asyncio.to_thread(thread.join)
    return Response(found.get())""",
    "thread of a subclass": """
    class Getting(threading.Thread):
        def run(self):
            self.found = get()
    thread = Getting()
    thread.start()
    await asyncio.to_thread(thread.join)
    return Response(thread.found)""",
    "timer": """
    found = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    threading.Timer(0, lambda: loop.call_soon_threadsafe(found.set_result, get())).start()
    return Response(await found)""",
    "call_later": """
    found = asyncio.get_running_loop().create_future()
    def later():
        asyncio.ensure_future(text()).add_done_callback(lambda done: found.set_result(done.result()))
    asyncio.get_running_loop().call_later(0.001, later)
    return Response(await found)""",
    "async generator": """
    async def parts():
        yield await text()
    return Response(parts())""",
    "in the loop's own thread": "return Response(get())",
}


async def test_a_subrequest_is_of_the_request_that_made_it(start: StartGuest) -> None:
    """Twelve interleaved requests find their own tokens behind what they fetch, in each way."""
    functions = [
        f"async def way_{i}():\n    {way.strip()}\n" for i, way in enumerate(WAYS.values())
    ]
    served = "async def on_fetch(request):\n    return await globals()[request.url[14:]]()\n"
    guest = await start("\n".join([_PRELUDE, *functions, served]))
    for number, way in enumerate(WAYS):
        replies = await asyncio.gather(
            *(guest.fetch(f"http://w.test/way_{number}", token=f"{way} {i}") for i in range(12))
        )
        assert [reply.text for reply in replies] == [f"for {way} {i}" for i in range(12)]


async def test_interleaved_requests_keep_apart(start: StartGuest) -> None:
    """Sixty requests that wait for one another in turn are attributed each to its own."""
    guest = await start(
        _PRELUDE
        + """
gate = asyncio.Event()
waiting = 0

async def on_fetch(request):
    global waiting
    before = await text(request.url + "a")
    waiting += 1
    if waiting == 60:
        gate.set()
    await gate.wait()
    after = await asyncio.gather(text(request.url + "b"), asyncio.to_thread(get, request.url + "c"))
    return Response(" ".join([before, *after]))
"""
    )
    replies = await asyncio.gather(
        *(guest.fetch(f"http://w.test/{i}/", token=f"t-{i}") for i in range(60))
    )
    assert [reply.text for reply in replies] == [" ".join([f"for t-{i}"] * 3) for i in range(60)]
    assert all(sub.url.split("/")[3] == sub.token[2:] for sub in guest.subrequests)


async def test_a_pooled_thread_belongs_to_nobody(start: StartGuest) -> None:
    """What a thread of a pool does of its own accord is refused, whoever had it started."""
    guest = await start(
        _PRELUDE
        + """
import _thread
async def on_fetch(request):
    found = queue.Queue()
    def ask():
        try:
            found.put(get())
        except OSError as error:
            found.put(str(error))
    if request.url.endswith("raw"):
        _thread.start_new_thread(ask, ())
    else:
        one = concurrent.futures.ThreadPoolExecutor(1)
        one.submit(int).result()
        one._work_queue.put(type("Item", (), {"run": staticmethod(ask)}))
    return Response(await asyncio.to_thread(found.get))
"""
    )
    for path in ("raw", "pool"):
        reply = await guest.fetch(f"http://w.test/{path}")
        assert "not permitted to access the internet outside of a request" in reply.text
    assert guest.subrequests == []


async def test_what_outlives_its_request_is_stopped(start: StartGuest) -> None:
    """A task that nobody awaits ends with its request, and a thread's later request is refused."""
    guest = await start(
        _PRELUDE
        + """
ended = []
over = threading.Event()
said = queue.Queue()

async def forever():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        ended.append("cancelled")
        over.set()
        raise

def late():
    over.wait()
    try:
        said.put(get())
    except OSError as error:
        said.put(str(error))

async def on_fetch(request):
    if request.url.endswith("/leave"):
        task = asyncio.create_task(forever())
        threading.Thread(target=late).start()
        await asyncio.sleep(0)
        return Response("left")
    return Response(f"{await asyncio.to_thread(said.get)} {ended}")
"""
    )
    await guest.fetch("http://w.test/leave", token="first")
    reply = await guest.fetch("http://w.test/look", token="second")
    assert "outside of a request" in reply.text
    assert "['cancelled']" in reply.text
    assert guest.subrequests == []


async def test_nothing_leaves_at_import(start: StartGuest) -> None:
    """A subrequest at the top level of a module is refused, in the words of the host."""
    guest = await start(_PRELUDE + "get()\nasync def on_fetch(request): return Response('')\n")
    reply = await guest.fetch()
    assert reply.error is not None
    assert reply.error["kind"] == "load"
    assert "outside of a request" in reply.error["message"]
