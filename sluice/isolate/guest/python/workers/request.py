"""HTTP requests: the one that a Worker serves, and those that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPMethod
from typing import Any

from workers import data_url
from workers import url as urls
from workers.body import Body
from workers.fields import token
from workers.headers import Headers
from workers.message import Message, body_of

_KNOWN = {method.value for method in HTTPMethod}
_REDIRECTS = ("follow", "manual")


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came in. Its redirects are its sender's: `manual`."""

    method: str
    url: str
    headers: Headers
    body: Body | None
    redirect: str = "manual"


class Request(Message):
    """A request. `input` is a URL, or a request that `options` change.

    Options: `method`, `headers`, `body`, `redirect` (`follow` or `manual`). `cf` is taken
    and has no effect. https://developers.cloudflare.com/workers/runtime-apis/request/
    """

    url: str
    redirect: str
    cf: None = None
    """Cloudflare's properties of the client's connection: absent."""

    def __init__(self, input: Received | Request | str, **options: Any) -> None:  # noqa: A002 — its name there
        if isinstance(input, Received):
            self.url, self.redirect = input.url, input.redirect
            self.headers, self._body = input.headers, input.body
            self._method = input.method
            return
        base = input if isinstance(input, Request) else None
        self.url = base.url if base else _url(str(input))
        self.redirect = options.get("redirect") or (base.redirect if base else "follow")
        if self.redirect not in _REDIRECTS:
            raise TypeError(
                'Invalid redirect value, must be one of "follow" or "manual" ("error" won\'t be '
                'implemented since it does not make sense at the edge; use "manual" and check the '
                "response status code)."
            )
        self._method = _method(options.get("method") or (base.method if base else "GET"))
        given = options.get("headers")
        self.headers = Headers(base.headers if base and given is None else given)
        self._body = self._body_from(base, options.get("body"))
        if self._body is not None and self._method in ("GET", "HEAD"):
            raise TypeError(f"Request with a {self._method} method cannot have a body.")

    def _body_from(self, base: Request | None, given: Any) -> Body | None:
        if given is not None:
            return body_of(given, self.headers, "Request")
        if base is None or base.body is None:
            return None
        return body_of(base.body, self.headers, "Request")

    @property
    def method(self) -> str:
        """The method: an `HTTPMethod`, which is a `str`, or a `str` that none of them is."""
        return HTTPMethod(self._method) if self._method in _KNOWN else self._method

    @property
    def asks_websocket(self) -> bool:
        """Whether it asks to open a WebSocket."""
        return (self.headers.get("upgrade") or "").lower() == "websocket"

    def clone(self) -> Request:
        """Copy the request. Each of the two bodies can be read."""
        body = self._cloned_body()
        headers = Headers(self.headers)
        return Request(Received(self._method, self.url, headers, body, self.redirect))

    async def json(self, **kwargs: Any) -> Any:
        """Read the body as JSON; arguments are those of `json.loads`."""
        return await self.read_json(**kwargs)

    def __repr__(self) -> str:
        return f"Request(method={self._method!r}, url={self.url!r})"


def _url(given: str) -> str:
    text = given.strip()
    return data_url.SCHEME + text[5:] if data_url.is_data(text) else urls.parse(text)


def _method(given: str) -> str:
    """The method's text. The usual ones are put in upper case."""
    text = token(given, "method")
    return text.upper() if text.upper() in _KNOWN else text
