"""A Python Worker that looks for what is another's: in its memory, its state, its randomness."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.isolate.pool import PoolConfig
from sluice.isolate.program import user_program
from sluice.isolate.runner import Runner, RunnerConfig
from sluice.wire.body import Whole
from sluice.wire.messages import Request, Response
from tests.hostile.puppet import Puppet, python_bundle
from tests.isolate.workers import Workers

# Every page near anything that Python knows of: what cannot be read, write(2) says so of.
SCAN = """
    import re
    gc.unfreeze()
    wanted = re.compile(b"SLUICE" + b"-SECRET-[0-9a-f]{32}")
    blocks = {id(thing) >> 20 for thing in gc.get_objects()} | {call(12, 0) - 1 >> 20}
    blocks |= {block + step for block in blocks for step in (-1, 1)}
    found, size, page = set(), 0, mmap.PAGESIZE
    reading, writing = os.pipe()
    for block in blocks:
        content = b""
        for place in range(block << 20, block + 1 << 20, page):
            if libc.write(writing, ctypes.c_void_p(place), page) == page:
                content += os.read(reading, page)
        size += len(content)
        found.update(text.decode()[:8] + text.decode()[-32:] for text in wanted.findall(content))
    os.close(reading); os.close(writing)
    return sorted(found), size
"""

VICTIM = """
    import random
    from workers import Response, env
    kept = []

    async def on_fetch(request, env, ctx):
        kept.append((await request.text(), env.SECRET))
        return Response(str(random.random()))
"""


def secret() -> str:
    """What nobody knows but its owner."""
    return f"SLUICE-SECRET-{secrets.token_hex(16)}"


async def test_memory(puppet: Puppet) -> None:
    """Nothing of another Worker is in the process: not bindings, code, requests, params, tokens."""
    victim = python_bundle(VICTIM + f"\n    # {secret()}\n")
    victim.secrets["SECRET"] = secret()
    request = Request("POST", f"http://a.test/{secret()}", body=Whole(secret().encode()))
    served = await puppet.workers.fetch(victim, request=request, name="a victim", detail=secret())
    assert served[0] == 200
    found, size = await puppet.run(SCAN, name="after a victim", detail=secret())
    assert found == []
    assert size > 8 << 20


async def test_the_search_finds(solo: Puppet) -> None:
    """The same search does find what is in the process."""
    own = secret()
    await solo.run(f"kept['own'] = ['{own}'] * 1000")
    found, _ = await solo.run(SCAN)
    assert [text[-32:] for text in found] == [own[-32:]]


async def test_inherited_state(puppet: Puppet) -> None:
    """Of the service it inherits nothing: no environment, arguments, descriptors or open names."""
    said = await puppet.run(
        """
        gc.unfreeze()
        descriptors = []
        for number in range(70_000):
            try: descriptors.append((number, os.fstat(number).st_mode >> 12))
            except OSError: pass
        return {
            "environment": {k: v for k, v in os.environ.items() if k not in ("LC_CTYPE", "PWD")},
            "arguments": sys.argv[1:],
            "host": os.uname().nodename,
            "inherited": [kind for number, kind in descriptors if number < 4],
            "others": sorted({kind for number, kind in descriptors if number > 3}),
            "threads": threading.active_count(),
            "signals": [str(s) for s in signal.Signals if callable(signal.getsignal(s)) and s != signal.SIGINT],
            "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
            "groups": os.getgroups(),
            "modules": [m for m in sys.modules if m.startswith(("services", "sluice.wire", "sluice.pb", "grpc", "sluice.mesh"))],
            "loops": sum(isinstance(o, asyncio.AbstractEventLoop) for o in gc.get_objects()),
            "names": [s for o in gc.get_objects() if type(o) is dict for s in o.values()
                if type(s) is str and "/i-" in s and os.path.basename(os.getcwd()) not in s and "in.sock" not in s],
        }
        """,
        name="fresh",
    )
    descriptors = said.pop("inherited")
    assert descriptors == [2, 1, 1, 12]  # the null device, two ends of the output, the listener
    assert said.pop("host") == "worker" or not puppet.has_own_root
    assert set(said.pop("others")) <= {0, 12}  # epoll, sockets of its own
    assert said == {
        "environment": {},
        "arguments": [],
        "threads": 1,
        "signals": [],
        "blocked": 0,
        "groups": said["groups"],
        "modules": [],
        "loops": 1,
        "names": [],
    }


async def test_random_numbers(puppet: Puppet) -> None:
    """No two Workers draw the same numbers, from whatever generator the zygote had made before."""
    draw = """
        import random, secrets, ssl, tempfile, uuid
        gc.unfreeze()
        made = [o for o in gc.get_objects() if type(o) is random.Random]
        return [g.getrandbits(64) for g in made] + [random.random(), secrets.token_hex(8),
            ssl.RAND_bytes(8).hex(), str(uuid.uuid4()), str(uuid.uuid1()), next(tempfile._get_candidate_names()),
            os.urandom(8).hex()]
    """
    first, second = [await puppet.run(draw, name=name) for name in ("one", "other")]
    assert len(first) == len(second) > 7
    assert not set(first) & set(second)


async def test_state_stays_with_its_worker(puppet: Puppet) -> None:
    """What one Worker changes of Python, of its process or of its libraries, no other one sees."""
    await puppet.run(
        """
        os.umask(0); os.chdir("/"); os.environ["MARK"] = "x"; sys.path.insert(0, "/mark")
        import builtins; builtins.mark = 1
        signal.signal(signal.SIGTERM, signal.SIG_IGN); threading.stack_size(65536)
        import workers; workers.Response.mark = 1; sys.setrecursionlimit(500)
        """,
        name="dirty",
    )
    said = await puppet.run(
        """
        import builtins, workers
        return [os.environ.get("MARK"), sys.path[0], hasattr(builtins, "mark"),
            hasattr(workers.Response, "mark"), sys.getrecursionlimit(), os.getcwd() == "/"]
        """,
        name="clean",
    )
    assert said[0] is None
    assert said[1].endswith("/modules")
    assert said[2:] == [False, False, 1000, False]


async def test_tokens_of_one_worker(solo: Puppet) -> None:
    """Of its own live invocations a Worker can find the tokens: SECURITY.md says so."""
    live = await _while_another_waits(solo)
    assert len(live) == 2


@pytest_asyncio.fixture(loop_scope="session")
async def strict(solo: Puppet) -> AsyncIterator[Puppet]:
    """The same attacker with `SLUICE_PYTHON_ISOLATION=request`."""
    config = solo.workers.runner._config
    workers = Workers()
    workers.runner = Runner(
        RunnerConfig(
            replace(config.runtime, python_once=True), PoolConfig(max_isolates=8), wall_time=10
        ),
        workers.bundle,
        user_program,
        workers.on_subrequest,
    )
    workers.runner.begin()
    yield replace(solo, workers=workers)
    await workers.runner.aclose()


async def test_strict_tokens(strict: Puppet) -> None:
    """With a process for each invocation there is no other token to be found, nor its request."""
    assert len(await _while_another_waits(strict)) == 1


async def test_strict_state(strict: Puppet) -> None:
    """There nothing is left of an invocation for the next one of the same Worker."""
    own = secret()
    first = await strict.run(f"kept['own'] = ['{own}'] * 1000; return os.getpid()")
    kept, second = await strict.run("return [kept, os.getpid()]")
    assert kept == {}
    assert second != first
    assert (await strict.run(SCAN))[0] == []


async def test_strict_reuse(strict: Puppet) -> None:
    """There a process that stays and listens on gets no second request to look into."""
    stay = """
        import _thread
        def again():
            listener = _socket.socket(fileno=os.dup(3)); listener.settimeout(20)
            connection, _ = listener.accept(); connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 8\\r\\n\\r\\n\\"stolen\\"")
        _thread.start_new_thread(again, ())
        return os.getpid()
    """
    first = await strict.run(stay)
    assert await strict.run("return 'mine'") == "mine"
    assert await strict.run("return os.getpid()") != first


async def _while_another_waits(puppet: Puppet) -> list[str]:
    """The tokens that an invocation finds while another one waits for its subrequest."""
    came, go = asyncio.Event(), asyncio.Event()

    async def answer(_: Invocation[str], __: Exchange) -> Response:
        came.set()
        await go.wait()
        return Response(200)

    puppet.workers.answer = answer
    waiting = asyncio.create_task(
        puppet.run("return (await fetch('https://origin.test/')).status", name="talks")
    )
    await came.wait()
    found: list[str] = await puppet.run("return tokens()", name="talks")
    go.set()
    assert await waiting == 200
    return found


async def test_params_are_not_in_the_process(solo: Puppet) -> None:
    """What the dispatch Worker chose for an invocation never enters the user's process."""
    echo = python_bundle(
        """
        import json
        from workers import Response
        async def on_fetch(request, env, ctx):
            seen = [dict(request.headers), str(env.__dict__), str(vars(ctx))]
            return Response(json.dumps(seen))
        """
    )
    _, text = await solo.workers.fetch(echo, detail=secret())
    assert "SLUICE-SECRET" not in text
    assert "x-sluice" not in json.dumps(json.loads(text)[0])
