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
