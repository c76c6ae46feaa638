from __future__ import annotations

import asyncio
import logging
from time import monotonic

import pytest

from sluice.registry import answers
from sluice.registry.answers import STALE, TTL, Answers
from sluice.wire.errors import Reason, SluiceError


class Registry:
    """A registry in a dictionary, which counts what it is asked, and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[tuple[str, str], str] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing = False
        self.clock = monotonic()
        monkeypatch.setattr(answers, "monotonic", lambda: self.clock)

    async def read(self, namespace: str, name: str) -> str:
        self.asked.append((namespace, name))
        if self.failing:
            raise SluiceError(Reason.SERVICE_UNAVAILABLE, "down")
        if (namespace, name) not in self.known:
            raise SluiceError(Reason.WORKER_NOT_FOUND, f"no {name}", worker=name)
        return self.known[namespace, name]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry."""
    return Registry(monkeypatch)


ACME = ("production", "acme")


async def test_an_answer_holds_for_the_ttl(registry: Registry) -> None:
    """Within the TTL memory answers, after it the registry is asked."""
    registry.known[ACME] = "1"
    found = Answers(registry.read)
    assert await found.get(ACME) == "1"
    registry.known[ACME] = "2"
    registry.clock += TTL * 0.99
    assert await found.get(ACME) == "1"
    registry.clock += TTL * 0.02
    assert await found.get(ACME) == "2"
    assert len(registry.asked) == 2


async def test_a_name_that_is_not_there_is_remembered_too(registry: Registry) -> None:
    """Asking for a name that is not there costs one query a TTL, and raises each time."""
    found = Answers(registry.read)
    errors = []
    for _ in range(3):
        with pytest.raises(SluiceError, match="no acme") as raised:
            await found.get(ACME)
        errors.append(raised.value)
    assert registry.asked == [ACME]
    assert [(e.reason, e.metadata) for e in errors] == [
        (Reason.WORKER_NOT_FOUND, {"worker": "acme"})
    ] * 3
    assert len({id(error) for error in errors}) == 3  # a traceback each


async def test_what_is_forgotten_is_read_anew(registry: Registry) -> None:
    """A write is seen by the next `get`, in its namespace and nowhere else."""
    found = Answers(registry.read)
    names = [("a", "x"), ("a", "y"), ("b", "x")]
    registry.known |= dict.fromkeys(names, "1")
    for name in names:
        await found.get(name)
    registry.known |= dict.fromkeys(names, "2")
    found.forget("a", "x")
    assert [await found.get(name) for name in names] == ["2", "1", "1"]
    found.forget("a")
    assert [await found.get(name) for name in names] == ["2", "2", "1"]


async def test_what_was_read_before_a_write_is_not_given_after_it(registry: Registry) -> None:
    """An answer that a write overtook is for who asked before it: it is not joined, nor kept."""
    reading, go = asyncio.Event(), asyncio.Event()

    async def slowly_at_first(namespace: str, name: str) -> str:
        answer = await registry.read(namespace, name)
        if len(registry.asked) == 1:
            reading.set()
            await go.wait()
        return answer

    registry.known[ACME] = "old"
    found = Answers(slowly_at_first)
    before = asyncio.create_task(found.get(ACME))
    await reading.wait()
    registry.known[ACME] = "new"
    found.forget(*ACME)
    assert await found.get(ACME) == "new"
    go.set()
    assert await before == "old"
    assert await found.get(ACME) == "new"


@pytest.mark.parametrize(
    "name",
    [
        ("production", ""),
        ("production", "a/b"),
        ("production", "a" * 65),
        ("production", "x" * 100_000),
        ("Not A Namespace", "acme"),
        ("", "a\0"),
    ],
)
async def test_what_is_no_name_is_not_there(registry: Registry, name: tuple[str, str]) -> None:
    """Nothing is asked or kept for a name that cannot be one, however long."""
    found = Answers(registry.read)
    with pytest.raises(SluiceError) as raised:
        await found.get(name)
    assert raised.value.reason is Reason.WORKER_NOT_FOUND
    assert len(raised.value.message) < 300
    assert registry.asked == []


async def test_the_number_of_answers_is_bounded(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random names push out what was read longest ago, and no more is kept than that."""
    monkeypatch.setattr(answers, "MAX_ANSWERS", 3)
    found = Answers(registry.read)
    names = [("", f"w{at}") for at in range(5)]
    registry.known |= dict.fromkeys(names, "1")
    for name in names:
        await found.get(name)
    registry.asked.clear()
    for name in reversed(names):
        await found.get(name)
    assert registry.asked == [names[1], names[0]]


async def test_the_last_answer_stands_in_while_the_registry_is_down(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage is bridged for `STALE` seconds, asked once a TTL, and logged."""
    registry.known[ACME] = "1"
    found = Answers(registry.read)
    await found.get(ACME)
    registry.failing = True
    registry.clock += TTL
    with caplog.at_level(logging.WARNING):
        assert [await found.get(ACME) for _ in range(3)] == ["1"] * 3
    assert len(registry.asked) == 2
    assert caplog.messages == ["registry: down; going by what it said last of production/acme"]
    registry.clock += STALE
    with pytest.raises(SluiceError, match="down"):
        await found.get(ACME)
    with pytest.raises(SluiceError, match="down"):
        await found.get(("production", "other"))


async def test_many_who_miss_make_one_query(registry: Registry) -> None:
    """A Worker that everybody wants at once is read once."""
    registry.known[ACME] = "1"
    found = Answers(registry.read)
    assert await asyncio.gather(*(found.get(ACME) for _ in range(50))) == ["1"] * 50
    assert registry.asked == [ACME]
    await found.aclose()
