"""What `get()` chose, as guest code says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dispatcher import binding
from sluice.wire.errors import Reason, SluiceError

SAID: dict[str, Any] = {"binding": "D", "name": "api", "props": {}, "outbound": {}, "limits": {}}


def test_parse() -> None:
    """A call without a method is `fetch()`."""
    assert binding.parse(json.dumps(SAID)) == binding.Chosen("D", "api", {}, {}, {})
    assert binding.parse(json.dumps({**SAID, "method": "add"})).rpc_method == "add"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        json.dumps({key: value for key, value in SAID.items() if key != "name"}),
        *(json.dumps({**SAID, key: 1}) for key in (*SAID, "method")),
        json.dumps({**SAID, "limits": "api"}),  # found by fuzzing
    ],
)
def test_parse_refuses(header: str) -> None:
    """What guest code never says is refused, not served half."""
    with pytest.raises(SluiceError) as raised:
        binding.parse(header)
    assert raised.value.reason is Reason.INVALID_PARAMS


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"cpuMs": 0}, "limits.cpuMs: 0 is not a whole number from 1"),  # no Worker runs in no time
        ({"cpuMs": -1}, "limits.cpuMs: -1 is not"),
        ({"cpuMs": 1.5}, "limits.cpuMs: 1.5 is not"),
        ({"cpuMs": True}, "limits.cpuMs: True is not"),  # a bool is an int in Python
        ({"cpuMs": "10"}, "limits.cpuMs: '10' is not"),
        ({"subRequests": -1}, "limits.subRequests: -1 is not a whole number from 0"),
        ({"subRequests": 2**32}, "limits.subRequests: 4294967296 is not"),
        ({"memoryMb": 1}, "limits.memoryMb: no such limit (cpuMs, subRequests)"),
    ],
)
def test_limits_refuse(chosen: dict[str, Any], says: str) -> None:
    """A limit that nothing can keep is refused by its name."""
    with pytest.raises(SluiceError) as raised:
        binding.limits(chosen)
    assert raised.value.reason is Reason.INVALID_PARAMS
    assert says in raised.value.message


def test_no_subrequests_is_a_limit() -> None:
    """A Worker may be given none at all."""
    assert binding.limits({"cpuMs": 1, "subRequests": 0}).subrequests == 0
