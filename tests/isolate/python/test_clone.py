"""The values that RPC carries, as Python reads and writes them, and as clone.js does."""

from __future__ import annotations

import asyncio
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sluice_guest import clone
from sluice_guest.remote import RemoteError

CLONE_JS = Path(__file__).resolve().parents[3] / "sluice/isolate/guest/clone.js"
NODE = Path(__file__).resolve().parents[3] / ".venv/bin/node"

SAME: list[Any] = [
    None,
    True,
    0,
    -7,
    2**53 - 1,
    2**53,  # a bigint from here on
    -(2**80),
    1.5,
    math.inf,
    -math.inf,
    "",
    "text \u00e9 \U0001f600 \x00",
    "\ud800",  # a lone surrogate
    [],
    [1, [2, [3]]],
    {},
    {"a": {"b": None}, "__proto__": 1, "constructor": 2},
    {1: "a", "b": 2},
    {1, "x"},
    datetime(2026, 1, 2, 3, 4, 5, 678000, UTC),
    b"",
    b"\x00\xff" * 100,
]


@pytest.mark.parametrize("value", SAME, ids=repr)
def test_what_is_carried_stays_what_it_is(value: Any) -> None:
    """Each value comes back equal, and of its type."""
    back = clone.decode(clone.encode(value))
    assert back == value
    assert isinstance(back, type(value))


def test_what_changes_on_the_way() -> None:
    """A tuple becomes a list, other bytes become bytes, an exception a RemoteError."""
    assert clone.decode(clone.encode((1, 2))) == [1, 2]
    assert clone.decode(clone.encode(bytearray(b"x"))) == b"x"
    assert math.isnan(clone.decode(clone.encode(math.nan)))
    assert math.copysign(1, clone.decode(clone.encode(-0.0))) == -1
    error = clone.decode(clone.encode(TypeError("no")))
    assert isinstance(error, RemoteError)
    assert (error.name, str(error)) == ("TypeError", "no")


def test_shared_and_circular_references_stay() -> None:
    """What was one object is one object; what holds itself holds itself; no depth is too deep."""
    shared = [1]
    looped: list[Any] = [shared, {"shared": shared}]
    looped.append(looped)
    back = clone.decode(clone.encode(looped))
    assert back[0] is back[1]["shared"]
    assert back[2] is back
    deep: Any = None
    for _ in range(20_000):
        deep = [deep]
    back = clone.decode(clone.encode(deep))
    for _ in range(20_000):
        back = back[0]
    assert back is None


@pytest.mark.parametrize(
    "value", [object(), lambda: None, test_shared_and_circular_references_stay, 1j]
)
def test_what_is_not_carried_is_named(value: Any) -> None:
    """A value that has no like in JavaScript is refused, with its type."""
    with pytest.raises(TypeError, match=f'of type "{type(value).__name__}"'):
        clone.encode({"a": [value]})


MALFORMED = [
    "",
    "{}",
    "[]",
    "[",
    "[NaN]",
    "[[]]",
    '[["nothing"]]',
    '[["array",1]]',  # no such node
    '[["array",-2]]',
    '[["array",0.5]]',
    '[["array",true]]',
    '[["object",1,0]]',  # a key that is none
    '[["object","a"]]',
    '[["map",1,2],["object"],0]',  # no key for Python
    '[["bigint","zz"]]',
    '[["number","1e9"]]',
    '[["date","x"]]',
    '[["date",1e300]]',
    '[["buffer","%"]]',
    '[["view","Uint8Array",1,0,5],["buffer","AAAA"]]',  # longer than its buffer
    '[["view","Uint8Array",1,-1,1],["buffer","AAAA"]]',
    '[["view","Nothing",1,0,1],["buffer","AAAA"]]',
    '[["view","Uint8Array",0,0,1]]',
    '[["regexp","a","g"]]',
    '[{"a":1}]',
    "[" * 10_000,
    "[" + "9" * 5000 + "]",
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:40])
def test_what_nobody_encoded_is_refused(text: str) -> None:
    """A text that no codec wrote raises a TypeError, whatever is wrong with it."""
    with pytest.raises(TypeError, match="RPC"):
        clone.decode(text)


def test_too_much_is_refused_before_it_is_made() -> None:
    """A value of too many parts, or too long a text, is refused."""
    with pytest.raises(ValueError, match="limited to 250000 values"):
        clone.decode("[" + '["map"],' * 300_000 + "0]")
    with pytest.raises(ValueError, match="limited to 32MiB"):
        clone.encode("x" * (33 * 1024 * 1024))
    assert clone.decode(clone.encode(',"[{' * 200_000)) == ',"[{' * 200_000


async def _by_javascript(texts: list[str]) -> list[str]:
    """The texts, decoded and encoded again by clone.js."""
    script = (
        # Node 24 has not yet these two, which workerd has.
        "Uint8Array.prototype.toBase64 ??= function () {"
        '  return Buffer.from(this).toString("base64"); };'
        "Uint8Array.fromBase64 ??= (text) => {"
        '  const found = Buffer.from(text, "base64"), array = new Uint8Array(found.length);'
        "  array.set(found); return array; };"
        f'const {{ decode, encode }} = await import("{CLONE_JS.as_uri()}");'
        "const texts = JSON.parse(await new Response(process.stdin).text());"
        "console.log(JSON.stringify(texts.map((text) => encode(decode(text)))));"
    )
    process = await asyncio.create_subprocess_exec(
        NODE,
        "--input-type=module",
        "-e",
        script,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, printed = await process.communicate(json.dumps(texts).encode())
    assert process.returncode == 0, printed.decode()
    back: list[str] = json.loads(out)
    return back


async def test_javascript_reads_and_writes_the_same() -> None:
    """A value that passes through clone.js comes back as it was."""
    back = await _by_javascript([clone.encode(value) for value in SAME])
    assert [clone.decode(text) for text in back] == SAME
