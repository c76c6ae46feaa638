"""Memory outside the JavaScript heap is bounded, and to be out of it is an error like any other."""

from __future__ import annotations

import pytest

from sluice.wire.errors import SluiceError
from tests.isolate.workers import Workers

BOMBS = {
    "ArrayBuffer": "for (;;) kept.push(new ArrayBuffer(16 << 20));",
    "filled ArrayBuffer": "for (;;) kept.push(new Uint8Array(16 << 20).fill(1));",
    "wasm": "for (;;) kept.push(new WebAssembly.Memory({ initial: 256, maximum: 256 }));",
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_bomb(workers: Workers, bomb: str) -> None:
    """The Worker gets a RangeError, its process lives, and a neighbour's requests are served."""
    source = f"""const kept = [];
    export default {{ fetch(r) {{
        if (!r.url.endsWith('bomb')) return new Response('ok');
        try {{ {BOMBS[bomb]} }} catch (e) {{ kept.length = 0; return new Response(e.name) }} }} }}"""
    assert await workers.fetch(source, "http://a.test/bomb") == (200, "RangeError")
    assert await workers.fetch(source) == (200, "ok")
    assert await workers.fetch(
        "export default { fetch() { return new Response('neighbour') } }"
    ) == (
        200,
        "neighbour",
    )


async def test_the_heap_fits(workers: Workers) -> None:
    """A Worker may use its whole heap, and hold as much again in buffers."""
    source = """export default { fetch() {
        const heap = [], buffers = [];
        for (let i = 0; i < 90; i++) heap.push(new Array(131072).fill(i + 0.5));
        for (let i = 0; i < 100; i++) buffers.push(new Uint8Array(1 << 20).fill(1));
        return new Response(`${heap.length} ${buffers.length}`) } }"""
    assert await workers.fetch(source) == (200, "90 100")


async def test_heap_bomb(workers: Workers) -> None:
    """A full JavaScript heap ends the process with an error that says so, and only that one."""
    source = """export default { fetch(r) {
        if (!r.url.endsWith('bomb')) return new Response('ok');
        const kept = []; for (;;) kept.push(new Array(10000).fill(Math.random())); } }"""
    with pytest.raises(SluiceError, match="memory"):
        await workers.fetch(source, "http://a.test/bomb")
    assert await workers.fetch(source) == (200, "ok")
