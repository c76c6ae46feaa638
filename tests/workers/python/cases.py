"""What the Workers of this folder are asked, and what they answer: in the guest and in the sandbox.

They are in the style of Cloudflare's documentation of Python Workers, and run unchanged there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

ORIGIN: Mapping[str, tuple[int, dict[str, str], bytes]] = {
    "https://origin.example/moved": (302, {"location": "/here"}, b""),
    "https://origin.example/here": (200, {}, b"here"),
    "https://origin.example/api": (202, {"x-origin": "o-1"}, b"pong"),
    "https://acme.example.com/pass": (203, {"x-origin": "o-2"}, b"passed"),
    "https://logs.example.com/": (204, {}, b""),
}
"""Status, headers and body of each URL that a Worker here asks for."""

_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nNotes\r\n'
    b'--b\r\nContent-Disposition: form-data; name="upload"; filename="n.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\none\r\ntwo\r\n--b--\r\n"
)


@dataclass(frozen=True)
class Case:
    """One request to one Worker, and its response."""

    worker: str
    body: bytes
    path: str = "/"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    """Some of the response's headers."""
    method: str = "GET"
    sent_headers: tuple[tuple[str, str], ...] = ()
    sent: bytes = b""
    bindings: Mapping[str, Any] = field(default_factory=dict)
    """The Worker's vars, the same in all its cases."""
    asked: tuple[tuple[str, str, bytes], ...] = ()
    """Method, URL and body of each subrequest."""

    @property
    def url(self) -> str:
        return f"https://acme.example.com{self.path}"


_TYPED = (("content-type", "text/plain;charset=UTF-8"),)
_JSON = (("content-type", "application/json"),)
_LOGIN = (("www-authenticate", 'Basic realm="my scope", charset="UTF-8"'),)

CASES = [
    Case("hello", b"Hello World!", headers=_TYPED),
    Case("query", b"Hello there, Ada", "/?name=Ada&x=1"),
    Case("query", b"", "/favicon.ico"),
    Case("query", b"Hello world!"),
    Case("json_body", b"Hello, Ada", method="POST", sent=b'{"name": "Ada"}'),
    Case("json_answer", b'{"hello": "world"}', headers=_JSON),
    Case("json_answer", b'{"hello": "world"}', "/static", 201, _JSON),
    Case(
        "env_vars",
        b"api.example.com 7 nothing",
        bindings={"API_HOST": "api.example.com", "limits": {"daily": 7}},
    ),
    Case("function", b"PUT acme", method="PUT", sent=b"x", bindings={"NAME": "acme"}),
    Case("router", b'["one", "two"]', "/articles"),
    Case("router", b"short and stout", "/teapot", 418),
    Case("router", b"Not found", "/none", 404),
    Case("redirect", b"", "/old/a", 301, (("location", "https://new.example.com/old/a"),)),
    Case(
        "redirect",
        b"302 /here",
        "/manual",
        asked=(("GET", "https://origin.example/moved", b""),),
    ),
    Case(
        "redirect",
        b"200 https://origin.example/here True",
        asked=(
            ("GET", "https://origin.example/moved", b""),
            ("GET", "https://origin.example/here", b""),
        ),
    ),
    Case(
        "headers",
        b"visit 3",
        headers=(
            ("set-cookie", "visits=3; HttpOnly"),
            ("set-cookie", "theme=dark"),
            ("x-agent", "Mozilla/5.0, like"),
            ("x-missing", "None"),
        ),
        sent_headers=(("cookie", "a=b; visits=2"), ("user-agent", "Mozilla/5.0, like")),
    ),
    Case(
        "form",
        b"Notes: n.txt text/plain one\r\ntwo",
        method="POST",
        sent_headers=(("content-type", "multipart/form-data; boundary=b"),),
        sent=_FORM,
    ),
    Case(
        "form",
        b"A b: ['x', '']",
        method="POST",
        sent_headers=(("content-type", "application/x-www-form-urlencoded"),),
        sent=b"title=A+b&tag=x&tag=",
    ),
    Case(
        "streaming",
        b"data: 0\n\ndata: 1\n\ndata: 2\n\n",
        headers=(("content-type", "text/event-stream"),),
    ),
    Case("streaming", b"ab" * 100_000, method="POST", sent=b"ab" * 100_000),
    Case(
        "transform",
        b"PONG",
        status=202,
        headers=(("x-origin", "o-1"),),
        asked=(("POST", "https://origin.example/api", b"ping"),),
    ),
    Case(
        "transform",
        b"passed",
        "/pass",
        203,
        (("x-origin", "o-2"),),
        method="POST",
        sent=b"as it is",
        asked=(("POST", "https://acme.example.com/pass", b"as it is"),),
    ),
    Case(
        "wait_until",
        b"answered",
        asked=(
            ("POST", "https://logs.example.com/", b"after the response"),
            ("POST", "https://logs.example.com/", b"by the module's function"),
        ),
    ),
    Case(
        "text_module", b"<h1>Static</h1>\n", headers=(("content-type", "text/html; charset=utf-8"),)
    ),
    Case("text_module", b"\x00\xff\x01", "/bytes"),
    Case("vendored", b"Good day, Worker"),
    Case(
        "basic_auth",
        b"You need to login.",
        status=401,
        headers=_LOGIN,
        bindings={"PASSWORD": "secret"},
    ),
    Case(
        "basic_auth",
        b"You have private access",
        headers=(("cache-control", "no-store"),),
        sent_headers=(("authorization", "Basic YWRtaW46c2VjcmV0"),),
        bindings={"PASSWORD": "secret"},
    ),
]


def files_of(worker: str) -> dict[str, bytes]:
    """A Worker's files by name."""
    folder = FOLDER / worker
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
