"""What a caller may reach in a user Worker by RPC, and what it may send there."""

from __future__ import annotations

import json

import pytest

from sluice.isolate import control
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request
from tests.isolate.workers import Workers

# Each is a call by the host.
VICTIM = """import { WorkerEntrypoint } from 'cloudflare:workers';
class Base extends WorkerEntrypoint { inherited() { return 'inherited' } }
export default class Victim extends Base {
  #secret = 'secret';
  field = () => 'field';
  fetch() { return new Response('over fetch') }
  open(value) { return [typeof value, value?.polluted, ({}).polluted] }
  #hidden() { return this.#secret } }
export const other = { method: () => 'other' };"""


@pytest.mark.parametrize(
    ("method", "says"),
    [
        ("fetch", "'fetch' is a reserved method"),
        ("constructor", "'constructor' is a reserved method"),
        ("connect", "'connect' is a reserved method"),
        ("dup", "'dup' is a reserved method"),
        ("alarm", "'alarm' is a reserved method"),
        ("__proto__", '"__proto__" is not a function'),
        ("toString", 'does not implement the method "toString"'),
        ("hasOwnProperty", 'does not implement the method "hasOwnProperty"'),
        ("__defineGetter__", 'does not implement the method "__defineGetter__"'),
        ("valueOf", 'does not implement the method "valueOf"'),
        ("field", 'does not implement the method "field"'),
        ("ctx", 'does not implement the method "ctx"'),
        ("env", 'does not implement the method "env"'),
        ("#hidden", 'does not implement the method "#hidden"'),
        ("other", 'does not implement the method "other"'),
        ("open.call", 'does not implement the method "open.call"'),
        ("entrypoint", 'does not implement the method "entrypoint"'),
    ],
)
async def test_method_that_is_not_offered(workers: Workers, method: str, says: str) -> None:
    """Only what a class declares can be called."""
    request = Request("POST", "http://rpc.invalid/", body=Whole(b'[["array"]]'))
    said = {control.CALL: control.encode({"method": method})}
    with pytest.raises(SluiceError, match=r"reserved|not implement|not a function") as raised:
        await workers.fetch(VICTIM, request=request, said=said)
    assert says in raised.value.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[" * 200_000,
        b'[["array","__proto__"]]',
        b'[["valueOf"]]',
        b"[1]",
        b'[["array",1],["view","Uint8Array",0,0,1]]',
        b"\xff\xfe",
    ],
)
async def test_forged_arguments(workers: Workers, body: bytes) -> None:
    """Arguments that no codec wrote are an exception, and the Worker serves on."""
    said = {control.CALL: control.encode({"method": "open"})}
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(
            VICTIM, request=Request("POST", "http://rpc.invalid/", body=Whole(body)), said=said
        )
    assert raised.value.reason is Reason.WORKER_EXCEPTION
    good = b'[["array",1],["object","__proto__",2],["object","polluted",3],1]'
    request = Request("POST", "http://rpc.invalid/", body=Whole(good))
    _, text = await workers.fetch(VICTIM, request=request, said=said)
    assert json.loads(text) == [
        ["array", 1, 2, 3],
        "object",
        ["undefined"],
        ["undefined"],
    ]
