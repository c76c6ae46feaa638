"""Names: asked for once, kept for a while, and shared out among Workers."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.outbound.origin import names
from services.outbound.origin.names import Names, asking
from sluice.wire.customer import Customer
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.places import Bounds, Places

ACME, GLOBEX = Customer("production", "acme"), Customer("production", "globex")
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


class Asked(AbstractResolver):
    """Answers what the test says, when the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, asyncio.Future[list[str]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self.answers.setdefault(host, asyncio.get_running_loop().create_future())
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in await asyncio.shield(answer)
        ]

    def knows(self, host: str, answer: list[str] | OSError) -> None:
        """Answer now, or whenever it is asked."""
        future = self.answers.setdefault(host, asyncio.get_running_loop().create_future())
        if isinstance(answer, OSError):
            future.set_exception(answer)
            future.exception()
        else:
            future.set_result(answer)

    async def close(self) -> None:
        pass


def make(
    resolver: Asked, *, total: int = 64, each: int = 8, timeout: float = 20, ttl: float = 60
) -> Names:
    """Names with these limits."""
    bounds = Bounds(total=total, each=each, yields=True, wait=timeout)
    places = Places[Customer](bounds, Reason.LOAD_SHED, "DNS lookups")
    return Names(resolver, places, timeout=timeout, ttl=ttl)


def ask(shared: Names, host: str, customer: Customer = ACME) -> asyncio.Task[list[str]]:
    """The addresses of a name, for a customer."""

    async def addresses() -> list[str]:
        asking.set(customer)
        return [found["host"] for found in await shared.resolve(host, 443)]

    return asyncio.ensure_future(addresses())


async def settled() -> None:
    """Let all run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_answer_is_kept() -> None:
    """A name is asked for once; its addresses come with the port, another one first each time."""
    resolver = Asked()
    resolver.knows("a.com", ["8.8.8.8", "8.8.4.4"])
    shared = make(resolver)
    assert await ask(shared, "a.com") == ["8.8.8.8", "8.8.4.4"]
    assert await ask(shared, "a.com", GLOBEX) == ["8.8.4.4", "8.8.8.8"]
    asking.set(ACME)
    assert {found["port"] for found in await shared.resolve("a.com", 8443)} == {8443}
    assert resolver.asked == ["a.com"]


@pytest.mark.parametrize(
    ("failure", "times"),
    [
        (NO_SUCH_NAME, 1),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), 3),
        (OSError(24, "Too many open files"), 3),
    ],
)
async def test_failure_is_kept(failure: OSError, times: int) -> None:
    """That there is no such name is known for a while; what may be otherwise soon is asked again."""
    resolver = Asked()
    resolver.knows("a.com", failure)
    shared = make(resolver)
    for _ in range(3):
        with pytest.raises(type(failure)) as caught:
            await ask(shared, "a.com")
        assert caught.value.args == failure.args
        assert caught.value is not failure  # whose traceback would grow
    assert len(resolver.asked) == times


async def test_answer_is_too_old_after_its_time() -> None:
    """After the time to live a name is asked for again."""
    resolver = Asked()
    resolver.knows("a.com", ["8.8.8.8"])
    shared = make(resolver, ttl=0.01)
    await ask(shared, "a.com")
    expires = shared._answers["a.com", socket.AF_UNSPEC].expires
    asyncio.get_running_loop().call_at(expires + 0.01, (over := asyncio.Event()).set)
    await over.wait()
    await ask(shared, "a.com")
    assert resolver.asked == ["a.com", "a.com"]


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that were not asked for lately are forgotten, and long ones are never looked up."""
    monkeypatch.setattr(names, "MAX_NAMES", 3)
    resolver = Asked()
    shared = make(resolver)
    for host in ("a.com", "b.com", "c.com", "a.com", "d.com", "a.com"):
        if host not in resolver.answers:
            resolver.knows(host, ["8.8.8.8"])
        await ask(shared, host)
    assert [name for name, _ in shared._answers] == ["c.com", "d.com", "a.com"]
    with pytest.raises(socket.gaierror, match="too long"):
        await ask(shared, "a" * 256)
    assert resolver.asked == ["a.com", "b.com", "c.com", "d.com"]


async def test_lookup_is_shared() -> None:
    """Who asks for a name that is being looked up waits for that; one who leaves does not end it."""
    resolver = Asked()
    shared = make(resolver)
    first, second = ask(shared, "a.com"), ask(shared, "a.com", GLOBEX)
    await settled()
    first.cancel()
    await settled()
    resolver.knows("a.com", ["8.8.8.8"])
    assert await second == ["8.8.8.8"]
    assert resolver.asked == ["a.com"]


async def test_slow_names_use_up_their_askers_share_only() -> None:
    """One Worker's lookups that do not end leave room for others', also of the very same names."""
    resolver = Asked()
    resolver.knows("b.com", ["8.8.8.8"])
    shared = make(resolver, total=64, each=8, timeout=0.1)
    slow = [ask(shared, f"{n}.slow.com") for n in range(50)]
    await settled()
    begun = len(resolver.asked)
    assert begun <= 8
    waits = ask(shared, "b.com")
    await settled()
    assert await ask(shared, "b.com", GLOBEX) == ["8.8.8.8"]
    with pytest.raises(SluiceError) as caught:
        await waits
    assert caught.value.reason is Reason.LOAD_SHED
    assert caught.value.message == f"one has its share of {begun} DNS lookups for 0.1 s"
    failures = await asyncio.gather(*slow, return_exceptions=True)
    assert [str(failure) for failure in failures[:begun]] == [
        f"[Errno {socket.EAI_AGAIN}] no answer within 0.1 s"
    ] * begun
    assert await ask(shared, "b.com") == ["8.8.8.8"]  # from memory, without a place
    await shared.close()


async def test_place_is_taken_until_the_lookup_is_over() -> None:
    """Giving up does not make room: the thread is still there. The answer does."""
    resolver = Asked()
    resolver.knows("b.com", ["8.8.8.8"])
    shared = make(resolver, total=2, each=1, timeout=20)
    gone = ask(shared, "slow.com")
    await settled()
    gone.cancel()
    waits = ask(shared, "b.com")
    await settled()
    assert resolver.asked == ["slow.com"]
    resolver.knows("slow.com", NO_SUCH_NAME)
    assert await waits == ["8.8.8.8"]


async def test_closing_ends_what_is_under_way() -> None:
    """Nothing is left of a lookup that has not ended."""
    shared = make(Asked())
    asked = ask(shared, "a.com")
    await settled()
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert shared._lookups == {}
