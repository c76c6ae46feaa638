"""Attacks on the token, which says whose a subrequest is: read it, forge it, use another's."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sluice.http1.server import Exchange
from sluice.isolate.invocation import Invocation
from sluice.wire.body import Whole
from sluice.wire.messages import Response
from tests.isolate.workers import Workers, bundle_of

# Keeps all text that passes through what it is set on. `seen` is what it kept.
SPY = """const seen = [], marks = [];
let busy = false;
function keep(value, depth = 0) {
  if (typeof value === 'string') { seen.push(value); return }
  if (value === null || !['object', 'function'].includes(typeof value) || depth > 3) return;
  try { if (value[Symbol.iterator] && !Array.isArray(value)) value = [...value] } catch {}
  try { for (const key of Reflect.ownKeys(value)) {
    if (typeof key === 'string') seen.push(key);
    keep(Object.getOwnPropertyDescriptor(value, key).value, depth + 1) } } catch {}
}
function spied(native) {
  return new Proxy(native, {
    apply(target, self, args) { watch([self, args]); const made = Reflect.apply(target, self, args); watch(made); return made },
    construct(target, args, made) { watch(args); const object = Reflect.construct(target, args, made); watch(object); return object },
  });
}
function watch(value) {
  if (busy) return;
  busy = true;
  try { marks.push(1); keep(value) } finally { busy = false }
}
function spy(holder, ...names) {
  for (const name of names.length ? names : Reflect.ownKeys(holder)) {
    const property = Object.getOwnPropertyDescriptor(holder, name);
    if (typeof property?.value !== 'function' || name === 'constructor') continue;
    try { Object.defineProperty(holder, name, { ...property, value: spied(property.value) }) } catch {}
  }
}
"""

SPIES = [
    ("Headers.prototype", "spy(Headers.prototype)"),
    ("globalThis.Headers", "globalThis.Headers = spied(Headers)"),
    ("globalThis.Request", "globalThis.Request = spied(Request)"),
    ("Request.prototype", "spy(Request.prototype)"),
    ("globalThis.Response", "globalThis.Response = spied(Response)"),
    ("Response.prototype", "spy(Response.prototype)"),
    ("Promise", "spy(Promise.prototype); spy(Promise)"),
    ("JSON", "spy(JSON)"),
    ("Object", "spy(Object, 'entries', 'fromEntries', 'assign', 'keys', 'defineProperty')"),
    ("Map", "spy(Map.prototype); spy(WeakMap.prototype)"),
    ("Array", "spy(Array.prototype, 'map', 'push', 'join', 'includes')"),
    ("String", "spy(String.prototype, 'startsWith', 'replace', 'split', 'slice', 'padStart')"),
    ("Function", "spy(Function.prototype, 'call', 'apply', 'bind', 'toString')"),
    ("fetch", "spy(globalThis, 'fetch'); spy(ServiceWorkerGlobalScope.prototype)"),
    (
        "AsyncLocalStorage",
        "spy(AsyncLocalStorage.prototype); spy(AsyncLocalStorage); spy(AsyncResource.prototype)",
    ),
    ("WorkerEntrypoint", "spy(cloudflare.WorkerEntrypoint.prototype); spy(Entry.prototype)"),
    (
        "the stub's prototype",
        "spy(Object.getPrototypeOf(Object.getPrototypeOf(cloudflare.exports.Entry)))",
    ),
    (
        "a setter on Object.prototype",
        """for (const name of ['token', 'egress', 'props', 'x-sluice-token', 'headers'])
        Object.defineProperty(Object.prototype, name, { configurable: true,
          set(value) { watch([this, value]); Object.defineProperty(this, name, { value, writable: true }) }, get() { watch(this) } })""",
    ),
    (
        "Error.prepareStackTrace",
        """Error.prepareStackTrace = (error, frames) => { for (const frame of frames)
        watch([frame.getThis?.(), frame.getFunction?.(), frame.getTypeName?.(), frame.toString()]); return 'stack' }""",
    ),
]

THIEF = """import * as cloudflare from 'cloudflare:workers';
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { Buffer } from 'node:buffer';
%s
let Entry, spying;
export default { async fetch(request, env, ctx) {
  Entry ??= (await import('./__sluice_entry.js')).Entry ?? class {};
  if (!spying) { spying = true; %s }
  if (new URL(request.url).pathname === '/warm') return new Response();
  const answer = await (await fetch('https://origin.test/', { headers: { 'x-bait': 'bait' } })).text();
  try { await fetch('https://origin.test/', { headers: { 'bad name': '' } }) } catch (error) { watch([error, error.stack]) }
  watch([request, request.headers, env, ctx, ctx.props, this, globalThis]);
  busy = true;
  return new Response([answer, marks.length, ...seen].join('\\n')); } }"""


@dataclass
class Tokens:
    """The tokens of the invocations whose subrequests came, in order."""

    seen: list[str]

    async def answer(self, invocation: Invocation[str], _: Exchange) -> Response:
        """Answer as ever, and keep the token."""
        self.seen.append(invocation.token)
        return Response(200, body=Whole(f"for {invocation.detail}".encode()))


async def steal(workers: Workers, theft: str) -> tuple[str, list[str]]:
    """What a thief saw, in the request after the one in which it set its trap; and the tokens."""
    tokens = Tokens([])
    workers.answer = tokens.answer
    bundle = bundle_of(THIEF % (SPY, theft))
    bundle.compatibility_flags.append("nodejs_compat")
    await workers.fetch(bundle, "http://acme.test/warm", detail="first")
    _, text = await workers.fetch(bundle, detail="mine")
    return text, tokens.seen


@pytest.mark.parametrize("theft", [row[1] for row in SPIES], ids=[row[0] for row in SPIES])
async def test_theft(workers: Workers, theft: str) -> None:
    """Nothing that user code can put in the place of the runtime's own ever holds the token."""
    text, tokens = await steal(workers, theft)
    assert text.startswith("for mine\n"), text[:300]
    assert tokens
    for token in tokens:
        assert token not in text
        assert token[:16] not in text


async def test_thief_can_see(trusted: Workers) -> None:
    """The spies are no fools: where there is no gate, one of them does see the token."""
    text, tokens = await steal(trusted, "spy(Headers.prototype)")
    assert tokens[0] in text
