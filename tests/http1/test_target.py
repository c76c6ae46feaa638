"""Request targets to URLs."""

from __future__ import annotations

import pytest

from sluice.http1.malformed import MalformedError
from sluice.http1.target import authority, url_of
from sluice.wire.errors import SluiceError

GOOD = [
    ("/", [b"a.example"], "https://a.example/"),
    ("/p?q=1&r=%20", [b"a.example:8080"], "https://a.example:8080/p?q=1&r=%20"),
    ("/", [b"[::1]:80"], "https://[::1]:80/"),
    ("//b/c", [b"a"], "https://a//b/c"),  # a path, not another authority
    ("/http://b/", [b"a"], "https://a/http://b/"),
    ("http://b.example/x", [b"a"], "http://b.example/x"),  # RFC 9112 section 3.2.2
    ("http://b.example/x", [], "http://b.example/x"),  # workerd sends no Host
    ("http://b.example?x", [], "http://b.example?x"),
    ("http://xn--e1a.example/", [], "http://xn--e1a.example/"),
    ("/", [b"a_b.example"], "https://a_b.example/"),
    ("/a?b#c?d#e", [b"a"], "https://a/a?b"),  # as workerd has it: a fragment is the client's own
    ("http://a/#f", [], "http://a/"),
]


@pytest.mark.parametrize(("target", "hosts", "url"), GOOD)
def test_url(target: str, hosts: list[bytes], url: str) -> None:
    """The URL is the target's own, or the scheme, the Host and the path."""
    assert url_of(target, hosts, "https") == url


BAD: list[tuple[str, str, list[bytes]]] = [
    ("no Host", "/", []),
    ("two Hosts", "/", [b"a", b"a"]),
    ("two Hosts, though neither counts", "http://a/", [b"a", b"a"]),
    ("a Host that is no host, though it does not count", "http://a/", [b"a/b"]),
    ("an empty Host", "/", [b""]),
    ("a path in the Host", "/", [b"a/b"]),
    ("userinfo in the Host", "/", [b"u@a"]),
    ("a list of Hosts", "/", [b"a, b"]),
    ("no such port", "/", [b"a:65536"]),
    ("no port", "/", [b"a:"]),
    ("a port that is no number", "/", [b"a:b"]),
    ("no IPv6 address", "/", [b"[::::]"]),
    ("brackets around a name", "/", [b"[a]"]),
    ("an escape in the Host", "/", [b"a%2eb"]),
    ("latin-1 in the Host", "/", [b"\xe9"]),
    ("the asterisk form", "*", [b"a"]),
    ("the authority form", "a:80", [b"a"]),
    ("userinfo", "http://u@a/", []),
    ("userinfo that looks like a host", "http://good@evil/", []),
    ("a backslash, which browsers read as a slash", "http://a\\b/", []),
    ("another scheme", "ftp://a/", []),
    ("no authority", "http:///p", []),
    ("no authority", "http:p", []),
    ("a space", "/a b", [b"a"]),
    ("a byte that is not ASCII", "/\xe9", [b"a"]),
]


@pytest.mark.parametrize(
    ("target", "hosts"), [row[1:] for row in BAD], ids=[f"{row[0]}: {row[1]}" for row in BAD]
)
def test_bad_target(target: str, hosts: list[bytes]) -> None:
    """What names no one destination is refused."""
    with pytest.raises(MalformedError) as raised:
        url_of(target, hosts, "https")
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://a/", "a"), ("https://a:8/p", "a:8"), ("http://[::1]:8?q", "[::1]:8")],
)
def test_authority(url: str, host: str) -> None:
    """`Host` is what the URL says, port and all."""
    assert authority(url) == host


@pytest.mark.parametrize(
    "url", ["", "/p", "http://u@a/", "http://a\r\nb/", "http://a/\r\nx: y", "http://a /", "a://b/"]
)
def test_no_authority(url: str) -> None:
    """A URL that could end the request line is not asked for."""
    with pytest.raises(SluiceError, match="url"):
        authority(url)
