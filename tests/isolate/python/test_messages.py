"""The `workers` module's own values: headers, bodies, requests, responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPMethod, HTTPStatus
from typing import Any

import pytest

import workers
from workers import Blob, Headers, Request, Response, fetch, redirects, url


def test_headers_are_read_as_at_cloudflare() -> None:
    """Names in any case, values of one name joined, cookies apart, None for what is absent."""
    headers = Headers([("X-A", "1"), ("x-a", 2), ("Set-Cookie", "a=b, c"), ("set-cookie", " d ")])
    assert headers["x-A"] == "1, 2"
    assert headers["none"] is None
    assert headers.get("none", "x") == "x"
    assert headers.get_all("X-a") == ["1, 2"]
    assert headers.get_all("none") is None
    assert headers.get_all("set-cookie") == headers.getSetCookie() == ["a=b, c", "d"]
    assert headers.items() == [("x-a", "1, 2"), ("set-cookie", "a=b, c"), ("set-cookie", "d")]
    assert "SET-COOKIE" in headers
    assert dict(Headers({"A": "1"}).items()) == {"a": "1"}


def test_headers_are_written_as_in_javascript() -> None:
    """An assignment replaces, append adds, delete forgives; a copy is apart."""
    headers = Headers({"a": "1"})
    copy = Headers(headers)
    headers.append("A", "2")
    headers["b"] = "1"
    headers["B"] = "2"
    headers.delete("none")
    assert headers.items() == [("a", "1, 2"), ("b", "2")]
    assert copy.items() == [("a", "1")]
    del headers["a"]
    assert list(headers) == ["b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("\u00e9", "x"),
        ("a", "x\r\ny: z"),
        ("a", "\0"),
        (3, "x"),
    ],
)
def test_what_no_header_can_be_is_refused(name: Any, value: str) -> None:
    """A name or value that would break the message is a TypeError."""
    with pytest.raises(TypeError, match="Invalid header"):
        Headers([(name, value)])


@pytest.mark.parametrize("init", ["a: b", 3, [("a",)], ["ab"]])
def test_what_is_no_headers_is_refused(init: Any) -> None:
    """Headers of another shape are a TypeError that says the shape."""
    with pytest.raises(TypeError, match="headers"):
        Headers(init)


URLS = [
    ("HTTP://Example.COM", "http://example.com/"),
    ("https://test.com?x", "https://test.com/?x"),
    ("http://a.test:80/", "http://a.test/"),
    ("http://a.test:8080/x#frag", "http://a.test:8080/x"),
    ("http://a.test/b/../c/./d", "http://a.test/c/d"),
    ("http://a.test/%2F%41?q=%20+%zz", "http://a.test/%2F%41?q=%20+%zz"),  # nothing is decoded
    ("http://a.test/a b\u00e9?q=a b", "http://a.test/a%20b%C3%A9?q=a%20b"),
    ("http://b\u00fccher.test/", "http://xn--bcher-kva.test/"),
    ("http://[::1]:8080/", "http://[::1]:8080/"),
    ("  http://a.test/  ", "http://a.test/"),
]


@pytest.mark.parametrize(("text", "normal"), URLS)
def test_urls_are_made_sendable(text: str, normal: str) -> None:
    """A URL gets a path, a lower-case host and what must be encoded, and keeps all else."""
    assert url.parse(text) == normal
    assert url.parse(normal) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/path",
        "a.test",
        "ftp://a.test/",
        "http://",
        "http://u:p@a.test/",
        "http://a:99999/",
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    """What cannot be asked for is a TypeError that shows it."""
    with pytest.raises(TypeError, match="Invalid URL"):
        Request(text)


def test_a_request_is_what_it_is_given() -> None:
    """Method, URL and headers are readable, and a copy with options changes what they say."""
    request = Request("https://test.com", method=HTTPMethod.POST, headers={"aaaa": "t"}, body="x")
    assert request.method == HTTPMethod.POST == "POST"
    assert repr(request) == "Request(method='POST', url='https://test.com/')"
    changed = Request(request, headers={"b": "1"}, method="PUT")
    assert (changed.method, changed.url) == ("PUT", "https://test.com/")
    assert changed.headers.items() == [("b", "1")]
    assert Request("http://a.test", method="propfind").method == "propfind"
    assert Request("http://a.test", method="get").method == "GET"


async def test_a_copy_takes_the_body() -> None:
    """A request that is made of another has its body, which the other then has no more."""
    first = Request("http://a.test", method="POST", body="once")
    second = Request(first, headers={"a": "1"})
    assert first.body_used
    assert await second.text() == "once"
    with pytest.raises(OSError, match="Body already used"):
        Request(first)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "GET", "body": "x"},
        {"method": "a b"},
        {"redirect": "sometimes"},
        {"method": "POST", "body": 3},
    ],
)
def test_what_is_no_request_is_refused(options: dict[str, Any]) -> None:
    """Options that mean no request are a TypeError."""
    with pytest.raises(TypeError):
        Request("http://a.test", **options)


async def _parts() -> AsyncIterator[bytes | str]:
    yield b"a"
    yield "\u00e9"


BODIES: list[tuple[Any, bytes, str | None]] = [
    (None, b"", None),
    ("\u00e9", "\u00e9".encode(), "text/plain;charset=UTF-8"),
    (b"\xff", b"\xff", None),
    (bytearray(b"x"), b"x", None),
    (memoryview(b"xy"), b"xy", None),
    (Blob(["a", b"b"], content_type="image/PNG"), b"ab", "image/png"),
]


@pytest.mark.parametrize(("given", "content", "content_type"), BODIES, ids=lambda v: repr(v)[:20])
async def test_bodies_and_their_types(given: Any, content: bytes, content_type: str | None) -> None:
    """Each kind of body is read as its bytes, and brings its content type."""
    response = Response(given)
    assert response.headers["content-type"] == content_type
    assert await response.bytes() == content


async def test_a_body_is_read_once_in_any_way() -> None:
    """Whatever reads a body uses it up; a clone is another's."""
    response = Response(_parts())
    clone = response.clone()
    assert await response.text() == "a\u00e9"
    with pytest.raises(OSError, match="Body already used"):
        await response.text()
    with pytest.raises(OSError, match="Body already used"):
        response.clone()
    assert clone.body is not None
    assert [chunk async for chunk in clone.body] == [b"a", "\u00e9".encode()]
    assert (await Response("[1]").json(), await Response('{"a": {"b": 1}}').json()) == (
        [1],
        {"a": {"b": 1}},
    )
    assert (await Response('{"a": {"b": 1}}').json()).a.b == 1
    assert (await Response("x").buffer()).to_bytes() == b"x"


async def test_two_clones_of_a_failing_stream_both_fail() -> None:
    """A stream that breaks off is not whole for either of its readers, whoever reads first."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("oops")

    response = Response(broken())
    clone = response.clone()
    results = await asyncio.gather(response.text(), clone.text(), return_exceptions=True)
    assert [str(result) for result in results] == ["oops", "oops"]


RESPONSES = [
    ({"status": 199}, ValueError, "range 200 to 599"),
    ({"status": 600}, ValueError, "range 200 to 599"),
    ({"body": "x", "status": 204}, TypeError, "null body status"),
    ({"body": 3}, TypeError, "Unsupported type in Response: int"),
    ({"body": {"a": 1}}, TypeError, "Unsupported type in Response: dict"),
    ({"status_text": "a\nb"}, TypeError, "statusText"),
    ({"status": 101}, ValueError, "range 200 to 599"),
    ({"web_socket": object()}, ValueError, "must have status code 101"),
]


@pytest.mark.parametrize(("options", "kind", "words"), RESPONSES)
def test_what_is_no_response_is_refused(
    options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """Options that mean no response are an error that says why."""
    with pytest.raises(kind, match=words):
        Response(**options)


async def test_responses_by_their_makers() -> None:
    """json, from_json, redirect, replace_body and the checks of a status."""
    made = Response.json({"obj": {"field": 123}}, status=HTTPStatus.NOT_FOUND)
    assert (made.status, await made.text()) == (404, '{"obj": {"field": 123}}')
    assert not made.ok
    with pytest.raises(OSError, match="404"):
        made.raise_for_status()
    typed = Response.from_json([], headers={"Content-Type": "application/problem+json"})
    assert typed.headers["content-type"] == "application/problem+json"
    moved = Response.redirect("https://a.test", HTTPStatus.PERMANENT_REDIRECT)
    assert (moved.status, moved.headers["location"]) == (308, "https://a.test/")
    with pytest.raises(ValueError, match="not a redirect"):
        Response.redirect("https://a.test", HTTPStatus.BAD_GATEWAY)
    other = Response("test", status=201, status_text="Made").replace_body("other")
    assert (other.status, other.status_text, await other.text()) == (201, "Made", "other")


REDIRECTS = [
    ("POST", 301, "GET", None),
    ("POST", 302, "GET", None),
    ("PUT", 301, "PUT", b"x"),
    ("PUT", 303, "GET", None),
    ("HEAD", 303, "HEAD", None),
    ("POST", 307, "POST", b"x"),
    ("POST", 308, "POST", b"x"),
]


@pytest.mark.parametrize(("method", "status", "then", "body"), REDIRECTS)
def test_what_follows_a_redirect(method: str, status: int, then: str, body: bytes | None) -> None:
    """Methods and bodies change as the Fetch standard says; credentials stay with their origin."""
    sent = None if method == "HEAD" else b"x"
    headers = {"authorization": "a", "content-type": "t", "x": "1"}
    request = Request("http://a.test/b/c", method=method, body=sent, headers=headers)
    here = redirects.following(request, status, "../d", sent)
    there = redirects.following(request, status, "http://b.test/", sent)
    assert here is not None
    assert there is not None
    assert (here.url, here.method) == ("http://a.test/d", then)
    assert (None if here.body is None else here.body.content) == body
    assert here.headers["authorization"] == "a"
    assert there.headers["authorization"] is None
    assert ("content-type" in here.headers) == (body is not None or method == "HEAD")


def test_what_no_redirect_can_be() -> None:
    """A stream cannot be sent twice, a redirect may be unwanted or lead nowhere."""
    request = Request("http://a.test", method="POST", body=_parts())
    with pytest.raises(TypeError, match="one-time-use body"):
        redirects.following(request, 307, "/", None)
    with pytest.raises(TypeError, match="Invalid URL"):
        redirects.following(Request("http://a.test"), 302, "ftp://b/", None)
    for status, location in ((200, "/"), (304, "/"), (302, None)):
        assert redirects.following(Request("http://a.test"), status, location, None) is None


@pytest.mark.parametrize("name", workers.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What the module says it has, it has."""
    assert getattr(workers, name) is not None


def test_patch_env() -> None:
    """A binding has another value within the block only."""
    with workers.patch_env(A="patched"):
        assert workers.env.A == "patched"
    with pytest.raises(AttributeError, match="no binding 'A'"):
        workers.env.A  # noqa: B018
    assert "patched" not in repr(workers.env)


def test_wait_until_needs_a_request() -> None:
    """Outside of a request there is nothing that work could outlive."""
    work = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="while a request is being served"):
        workers.wait_until(work)
    work.close()


DATA_URLS = [
    # As plain workerd answers them: type and content.
    ("data:text/plain;base64,aGk=", "text/plain", b"hi"),
    ("data:,a%20b", "text/plain;charset=US-ASCII", b"a b"),
    ("data:text/html;charset=utf-8,<b>", "text/html;charset=utf-8", b"<b>"),
    ("data:;base64,aGk", "text/plain;charset=US-ASCII", b"hi"),
    ("data:text/plain;base64,***", "text/plain", b""),
    ("DATA:,x", "text/plain;charset=US-ASCII", b"x"),
    ("data:,x#fragment", "text/plain;charset=US-ASCII", b"x"),
    ("data:application/json,{}", "application/json", b"{}"),
]


async def test_data_urls() -> None:
    """They are answered in the isolate: no request is made, and none needs to be served."""
    for asked, kind, content in DATA_URLS:
        response = await fetch(asked)
        assert (response.status, response.url, response.headers["content-type"]) == (200, "", kind)
        assert await response.bytes() == content, asked
    assert await (await fetch("data:,x", method="POST", body="y")).bytes() == b""
    assert Request("Data:,x").url == "data:,x"
    with pytest.raises(TypeError, match="Fetch API cannot load: data:nope"):
        await fetch("data:nope")


@pytest.mark.parametrize("redirect", ["error", "bogus"])
def test_redirects_are_followed_or_not(redirect: str) -> None:
    """Any other way is refused in workerd's words, before anything is sent."""
    with pytest.raises(TypeError, match='"error" won\'t be implemented since'):
        Request("http://a.test/", redirect=redirect)
