"""The Workers under tests/workers: what a Worker moved from Cloudflare finds, in each role.

A user Worker runs behind the gate; a dispatch Worker and an Outbound Worker run without. What they
find is the same, but for where their subrequests go.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sluice.bundle.pack import pack_path
from sluice.http1.server import Exchange
from sluice.isolate import roster
from sluice.isolate.invocation import Invocation
from sluice.pb import worker_pb2
from sluice.wire.body import Whole
from sluice.wire.errors import Reason, SluiceError
from sluice.wire.messages import Request, Response
from tests.bodies import read_all
from tests.isolate.workers import MakeWorkers, Workers

FOLDER = Path(__file__).parents[1] / "workers"


def bundle_at(folder: str, **settings: Any) -> worker_pb2.Bundle:
    """The bundle of `tests/workers/<folder>`, with `settings` in place of its own."""
    bundle = pack_path(FOLDER / folder).bundle
    for name, value in settings.items():
        setattr(bundle, name, value)
    return bundle


@pytest.fixture(params=["user", "trusted"])
async def either(request: pytest.FixtureRequest, make_workers: MakeWorkers) -> Workers:
    """A runner of user Workers, and one of the operator's own."""
    return make_workers(trusted=request.param == "trusted")


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        (
            "modules",
            {
                "named": [3, 8, 10],
                "namespace": ["default", "double"],
                "live": 1,
                "data": [True, 0, 255, 128],
                "json": {"a": [1, None]},
                "text": "text é",
                "wasm": [True, 42],
                "common": 42,
                "lazy": ["loaded late", True],
                "missing": True,
            },
        ),
        (
            "web_apis",
            {
                "digest": "ba7816bf",
                "uuid": True,
                "random": 4,
                "signed": True,
                "html": '<p><a href="https://a.test/">LINK!</a></p>',
                "clone": [True, True, True, 3],
                "pattern": "acme",
                "base64": "text",
                "timeout": "fired",
                "form": [["a", "1"], ["a", "2"]],
                "cf": None,
                "self": True,
                "agent": "Cloudflare-Workers",
            },
        ),
        (
            "nodejs_compat",
            {
                "buffer": "c3a9",
                "hash": "ba7816bf",
                "event": [1],
                "util": "{ a: [ 1 ] }",
                "path": "/b",
                "zlib": "zip",
                "env": "gold",
                "als": ["mine", None],
                "http": "for d",
            },
        ),
        (
            "handlers",
            {
                "this": "hello",
                "arguments": 3,
                "exports": "undefined",
                "props": {},
                "detached": "function",
            },
        ),
        ("top_level_await", ["first", "awaited"]),
    ],
)
async def test_worker_finds(either: Workers, folder: str, found: object) -> None:
    """A Worker finds what it finds at Cloudflare."""
    status, text = await either.fetch(bundle_at(folder), "http://acme.test/?query")
    assert (status, json.loads(text)) == (200, found)


async def test_subrequest_of_node_http(workers: Workers) -> None:
    """What node:http asks for is a subrequest of its invocation, as what fetch() asks for is."""
    await workers.fetch(bundle_at("nodejs_compat"), "http://acme.test/?query", detail="mine")
    assert [(detail, request.url) for detail, request in workers.subrequests] == [
        ("mine", "http://origin.test/in-als"),
        ("mine", "http://origin.test/by-node?query"),
    ]


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/transform", b"", "AB."),
        ("/tee", b"some body", "some body|some body"),
        ("/tee-subrequest", b"", "for d|for d"),
        ("/gzip", b"some body", "some body"),
        ("/byob", b"some body", "some"),
        ("/echo", b"some body", "some body"),
        ("/fixed", b"", "four"),
    ],
)
async def test_streams(either: Workers, path: str, body: bytes, answer: str) -> None:
    """Bodies can be made, split, piped and compressed."""
    request = Request("POST", f"http://acme.test{path}", body=Whole(body))
    assert await either.fetch(bundle_at("streams"), request=request) == (200, answer)


async def test_refusals(workers: Workers) -> None:
    """What a user Worker may not do ends in the words of the original, and never on the way out."""
    _, text = await workers.fetch(bundle_at("refused"))
    answers = json.loads(text)
    for name, begins in {
        "caches.default.match": "Error: No Cache was configured",
        "caches.default.put": "Error: No Cache was configured",
        "caches.open": "Error: No Cache was configured",
        "connect": "Error: This worker is not permitted to access the internet via global functio",
        "connect.tls": "Error: This worker is not permitted to access the internet via global fun",
        "eval": "EvalError: Code generation from strings disallowed",
        "new Function": "EvalError: Code generation from strings disallowed",
        "import https": "Error: No such module",
        "import file": "Error: No such module",
        "fetch relative": "TypeError: Invalid URL: /a",
        "fetch file": "TypeError: Fetch API cannot load: file:///etc/passwd",
        "fetch ftp": "TypeError: Fetch API cannot load: ftp://a.test/",
    }.items():
        assert answers.pop(name).startswith(begins), name
    assert answers == {}
    assert workers.subrequests == []


async def test_connect_of_a_trusted_worker_is_refused(make_workers: MakeWorkers) -> None:
    """An Outbound Worker cannot connect() past the guard either."""
    workers = make_workers(trusted=True)
    _, text = await workers.fetch(bundle_at("refused"))
    answers = json.loads(text)
    for name in ("connect", "connect.tls"):
        assert answers[name].startswith("Error: "), answers[name]
    assert workers.subrequests == []


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ("null", "Error: null"),
        ("undefined", "Error: undefined"),
        ("string", "Error: just text"),
        ("object", "Error: [object Object]"),
        ("custom", "Custom: of my own"),
        ("dom", "AbortError: The operation was aborted"),
        ("aggregate", "AggregateError: All promises were rejected"),
        ("recursion", "RangeError: Maximum call stack size exceeded"),
        ("getter", "Error: from a getter"),
        ("no response", "TypeError: Incorrect type for Promise: the Promise did not resolve to"),
        ("not a response", "TypeError: Incorrect type for Promise: the Promise did not resolve to"),
        ("long", "Error: ééé"),
    ],
)
async def test_failure(either: Workers, failure: str, says: str) -> None:
    """Whatever a Worker throws is an exception that its caller can read, and the next one works."""
    bundle = bundle_at("errors")
    with pytest.raises(SluiceError) as raised:
        await either.fetch(bundle, f"http://acme.test/{failure}".replace(" ", "%20"))
    assert raised.value.reason is Reason.WORKER_EXCEPTION
    assert raised.value.message.startswith(says)
    assert len(raised.value.message) < 3000
    assert await either.fetch(bundle, "http://acme.test/unhandled") == (200, "answered")


async def test_stream_that_throws(either: Workers) -> None:
    """A body whose source throws is cut short."""
    response = await either.start(bundle_at("errors"), Request("GET", "http://acme.test/stream"))
    with pytest.raises(SluiceError) as raised:
        await read_all(response.body, 1 << 20)
    assert raised.value.reason is Reason.BODY_CUT_SHORT
    await response.body.aclose()


async def test_worker_that_hangs(workers: Workers) -> None:
    """A user Worker that waits for nothing is told so by workerd, at once."""
    with pytest.raises(SluiceError) as raised:
        await workers.fetch(bundle_at("errors"), "http://acme.test/never")
    assert "your Worker's code had hung" in raised.value.message


async def test_console(workers: Workers) -> None:
    """Every level is kept, objects as Node shows them, a line for each line."""
    await workers.fetch(bundle_at("console"))
    wanted = [
        "a debug line",
        "text 1 true null undefined 10n",
        "{ nested: { list: [ 1, 'two' ] } }",
        "Map(1) { 'key' => Set(1) { 1 } }",
        "RangeError: an error",
        "format is 5",
        "two",
        "lines",
    ]
    lines = workers.runner.output.follow(("ns", "acme"), forever=True)
    async with asyncio.timeout(10):
        while wanted:
            text = (await anext(lines)).text
            if text in wanted:
                wanted.remove(text)
    await lines.aclose()  # type: ignore[attr-defined]


async def test_imported_env(either: Workers) -> None:
    """Bindings and waitUntil can be imported; `withEnv` holds for its scope."""
    _, text = await either.fetch(bundle_at("import_env"))
    assert json.loads(text) == {
        "atTopLevel": "text",
        "later": [1],
        "same": True,
        "names": ["JSON_VALUE", "TEXT"],
        "scoped": "scoped",
    }
    assert await either.until(1) == ["https://log.test/text"]


async def test_class_entrypoint(either: Workers) -> None:
    """A class is made anew for each request, its context and env its own."""
    bundle = bundle_at("class_entrypoint")
    for path in ("/one", "/two"):
        _, text = await either.fetch(bundle, f"http://acme.test{path}")
        assert json.loads(text) == [1, [], {}, "function", True, path]
    assert await either.until(2) == ["https://log.test/"] * 2


@pytest.mark.parametrize(
    ("path", "answer", "subrequests"),
    [
        ("/first", "by the first", []),
        (
            "/second",
            '["gold","fetch",true,"undefined",["/second"]]',
            ["https://log.test/second"],
        ),
        ("/none", "for d", ["http://acme.test/none"]),  # nobody answers: on it goes
        ("/late", "for d", ["http://acme.test/late"]),
        ("/open", "for d", ["http://acme.test/open"]),
        ("/throw", "RangeError: in the listener", []),
        (
            "/twice",
            "InvalidStateError: FetchEvent.respondWith() has already been called",
            ["https://log.test/twice"],
        ),
    ],
)
async def test_service_worker(
    either: Workers, path: str, answer: str, subrequests: list[str]
) -> None:
    """Listeners run in order until one answers; a request that none answers goes on unchanged."""
    try:
        _, text = await either.fetch(bundle_at("service_worker"), f"http://acme.test{path}")
    except SluiceError as error:
        text = error.message
    assert text.startswith(answer)
    assert await either.until(len(subrequests)) == subrequests


@pytest.mark.parametrize(
    ("path", "answer", "passed"),
    [
        ("/open", "for d", True),
        ("/fine", "fine", False),  # nothing was thrown
        ("/closed", "RangeError: out of it", False),  # it was not asked for
        ("/read", "RangeError: out of it", False),  # there is no body left to pass on
    ],
)
async def test_pass_through_on_exception(
    either: Workers, path: str, answer: str, passed: bool
) -> None:
    """A request of a Worker that throws goes where it was going, if the Worker said so."""
    request = Request("POST", f"http://acme.test{path}", [("x-a", b"b")], Whole(b"body"))
    try:
        _, text = await either.fetch(bundle_at("pass_through"), request=request)
    except SluiceError as error:
        text = error.message
    assert text == answer
    assert len(either.subrequests) == passed
    for _, subrequest in either.subrequests:
        assert (subrequest.method, subrequest.url) == ("POST", f"http://acme.test{path}")
        assert ("x-a", b"b") in subrequest.headers


async def test_pass_through_to_one_that_refuses(either: Workers) -> None:
    """Where the request cannot go on, the refusal is what the caller sees thrown."""

    async def refuse(_: Invocation[str], __: Exchange) -> Response:
        raise SluiceError(Reason.DESTINATION_PROHIBITED, "not there")

    either.answer = refuse
    with pytest.raises(SluiceError) as raised:
        await either.fetch(bundle_at("pass_through"), "http://acme.test/open")
    assert raised.value.reason is Reason.WORKER_EXCEPTION
    assert "not there" in raised.value.message


async def test_wait_until(either: Workers) -> None:
    """Promises, timers and streams go on after the response; one that fails harms no other."""
    assert await either.fetch(bundle_at("wait_until")) == (200, "streamed")
    assert await either.until(3) == [
        "https://log.test/after%20the%20stream",
        "https://log.test/promise",
        "https://log.test/timer",
    ]


async def test_wait_until_ends(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its time after the response is over, an invocation makes no more subrequests."""
    assert roster.AFTERLIFE == 30.0
    monkeypatch.setattr(roster, "AFTERLIFE", 0.0)
    source = """export default { fetch(r, env, ctx) {
        ctx.waitUntil(scheduler.wait(1500).then(() => fetch('https://log.test/')).catch((e) => console.log(e.message)));
        return new Response('done') } }"""
    assert await workers.fetch(source) == (200, "done")
    lines = workers.runner.output.follow(("ns", "acme"), forever=True)
    async with asyncio.timeout(10):
        assert "not permitted" in (await anext(lines)).text
    await lines.aclose()  # type: ignore[attr-defined]
    assert workers.subrequests == []


async def test_fetch_while_loading_is_refused(either: Workers) -> None:
    """A Worker that fetches at its top level cannot be loaded, and is told why."""
    with pytest.raises(SluiceError) as raised:
        await either.fetch(bundle_at("top_level_fetch"))
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED
    assert "Disallowed operation called within global scope" in raised.value.message
    assert either.subrequests == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"compatibility_date": "2999-01-01"}, "2999-01-01"),  # newer than the runtime
        ({"compatibility_flags": ["no_such_flag"]}, "no_such_flag"),
    ],
)
async def test_unknown_compatibility(either: Workers, settings: dict[str, Any], says: str) -> None:
    """A date or flag that the runtime does not know fails the load, and is named."""
    bundle = bundle_at("handlers")
    bundle.compatibility_date = settings.get("compatibility_date", bundle.compatibility_date)
    bundle.compatibility_flags.extend(settings.get("compatibility_flags", []))
    with pytest.raises(SluiceError) as raised:
        await either.fetch(bundle)
    assert raised.value.reason is Reason.WORKER_LOAD_FAILED
    assert says in raised.value.message


async def test_same_code_is_apart(workers: Workers) -> None:
    """Two Workers with the same code share nothing; one keeps its state between requests."""
    bundle = bundle_at("state")
    assert await workers.fetch(bundle, "http://a.test/", name="a") == (200, '[1,["a.test"]]')
    assert await workers.fetch(bundle, "http://b.test/", name="b") == (200, '[1,["b.test"]]')
    _, text = await workers.fetch(bundle, "http://a.test/", name="a")
    assert json.loads(text) == [2, ["a.test", "a.test"]]
