"""Each case through plain workerd and through the mesh: everybody sees the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import seen
from tests.conformance.case import Case, filled
from tests.conformance.cases.table import ALL
from tests.conformance.chain import Chain
from tests.conformance.origin import Answer, Origin

DOCUMENT = Path(__file__).parents[2] / "docs" / "compatibility.md"


@pytest.mark.parametrize("case", ALL, ids=[case.id for case in ALL])
async def test_case(case: Case, chains: tuple[Chain, Chain], origin: Origin) -> None:
    """Client, Workers and origin see in the mesh what they see in plain workerd."""
    plain, mesh = [await _run(case, chain, origin) for chain in chains]
    seen.level(plain, mesh)
    if case.differs is None:
        assert mesh == plain
    else:
        assert mesh != plain, "the difference is gone: say so in the document too"
        case.differs.check(plain, mesh)


async def test_host_of_a_subrequest(chains: tuple[Chain, Chain], origin: Origin) -> None:
    """The Outbound Worker sees the Host of the URL; in plain workerd, what the user's request had."""
    hosts = []
    for chain in chains:
        origin.reset()
        response = await chain.ask(Case("host", "no case").raw(origin.variables))
        assert (response.status, response.body) == (200, b"ok")
        hosts.append(dict(origin.reports[0]["headers"])["host"])
    assert hosts == ["pass.caught.test", origin.url.removeprefix("http://")]


async def _run(case: Case, chain: Chain, origin: Origin) -> dict[str, Any]:
    answers = [Answer(filled(a.raw, origin.variables), a.end) for a in case.answers]
    origin.reset(*answers)
    response = await chain.ask(case.raw(origin.variables), case.method)
    return seen.everything(chain, response, origin)


def test_table_is_a_table() -> None:
    """There are at least 120 cases, each with a name of its own and a reason."""
    assert len(ALL) >= 120
    assert max(Counter(case.id for case in ALL).values()) == 1
    assert all(case.why for case in ALL)


def test_differences_are_documented() -> None:
    """Each difference that a case asserts is a row of the document."""
    listed = DOCUMENT.read_text()
    for case in ALL:
        if case.differs is not None:
            assert f"| {case.differs.listed}" in listed, json.dumps(case.id)
