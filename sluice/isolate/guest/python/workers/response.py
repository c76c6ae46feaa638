"""HTTP responses: what a Worker returns, and what its subrequests are answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, overload

from workers import url as urls
from workers.body import Body
from workers.headers import Headers
from workers.message import Message, body_of
from workers.websocket import WebSocket

_NO_BODY = (101, 204, 205, 304)
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Received:
    """The response to a subrequest."""

    status: int
    status_text: str
    headers: Headers
    body: Body | None
    url: str
    is_redirected: bool
    web_socket: WebSocket | None = None


class Response(Message):
    """A response.

    A body is a `str`, `bytes`, a `FormData`, a `Blob`, the body of another message, or an async
    iterator of `bytes` or `str`, which is sent as it comes.
    https://developers.cloudflare.com/workers/runtime-apis/response/
    """

    status: int
    status_text: str
    url = ""
    """Where a subrequest ended, after its redirects."""

    redirected = False
    type = "default"
    web_socket: WebSocket | None = None
    """The far end, where the status is 101."""

    def __init__(
        self,
        body: Any = None,
        status: HTTPStatus | int | None = None,
        status_text: str = "",
        headers: Any = None,
        web_socket: WebSocket | None = None,
    ) -> None:
        if isinstance(body, Received):
            self.status, self.status_text = body.status, body.status_text
            self.headers, self._body, self.url = body.headers, body.body, body.url
            self.redirected, self.web_socket = body.is_redirected, body.web_socket
            return
        if isinstance(body, Response):
            if status is not None or status_text or headers is not None:
                raise ValueError("Expected no options when constructing Response from a Response")
            status, status_text, headers = body.status, body.status_text, body.headers
            body, web_socket = body.body, body.web_socket
        self.status = _checked_status(200 if status is None else int(status), web_socket)
        self.web_socket = web_socket
        if "\r" in status_text or "\n" in status_text:
            raise TypeError("Invalid statusText: it has a line break")
        self.status_text = status_text
        self.headers = Headers(headers)
        self._body = body_of(body, self.headers, "Response")
        if self._body is not None and self.status in _NO_BODY:
            raise TypeError(
                "Response with null body status (101, 204, 205, or 304) cannot have a body."
            )

    @staticmethod
    def redirect(url: str, status: HTTPStatus | int = HTTPStatus.FOUND) -> Response:
        """Make a redirect. Raises `ValueError` for a status that is none."""
        if int(status) not in _REDIRECTS:
            raise ValueError(f"{int(status)} is not a redirect status code.")
        return Response(None, status, headers={"location": urls.parse(str(url))})

    @staticmethod
    def error() -> Response:
        """Make a network error, which a handler may not return."""
        response = Response()
        response.type, response.status = "error", 0
        return response

    @staticmethod
    def from_json(
        data: Any,
        status: HTTPStatus | int | None = None,
        status_text: str = "",
        headers: Any = None,
    ) -> Response:
        """Make a response of JSON, with its content type unless `headers` has one."""
        fields = Headers(headers)
        if "content-type" not in fields:
            fields.set("content-type", "application/json")
        return Response(json.dumps(data), status, status_text, fields)

    @overload
    async def json(self: Response) -> Any: ...
    @overload
    def json(self: Any, *args: Any, **kwargs: Any) -> Response: ...
    def json(self: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the body as JSON; or, as `Response.json(data, ...)`, what `from_json` does."""
        if isinstance(self, Response):
            return self.read_json(*args, **kwargs)
        return Response.from_json(self, *args, **kwargs)

    @property
    def ok(self) -> bool:
        """Whether the status is 200 to 299."""
        return 200 <= self.status <= 299

    # JavaScript's names.
    statusText = property(lambda self: self.status_text)  # noqa: N815
    webSocket = property(lambda self: self.web_socket)  # noqa: N815

    def raise_for_status(self) -> None:
        """Raise `OSError` for a status of 400 or more."""
        if self.status >= 400:
            raise OSError(f"{self.status} {self.status_text} for url: {self.url}")

    def replace_body(self, body: Any) -> Response:
        """Copy the response, with another body."""
        headers = Headers(self.headers)
        return Response(body, self.status, self.status_text, headers, self.web_socket)

    def clone(self) -> Response:
        """Copy the response. Each of the two bodies can be read."""
        if self.web_socket is not None:
            raise TypeError("Cannot clone a response to a WebSocket handshake.")
        body = self._cloned_body()
        headers = Headers(self.headers)
        return Response(
            Received(
                self.status,
                self.status_text,
                headers,
                body,
                self.url,
                is_redirected=self.redirected,
            )
        )

    def __repr__(self) -> str:
        parts = [f"status={self.status}"]
        if self.status_text:
            parts.append(f"status_text={self.status_text!r}")
        if "content-type" in self.headers:
            parts.append(f"content_type={self.headers['content-type']!r}")
        if self.url:
            parts.append(f"url={self.url!r}")
        return f"Response({', '.join(parts)})"


def _checked_status(status: int, web_socket: WebSocket | None) -> int:
    if web_socket is not None and status != 101:
        raise ValueError("Responses with a WebSocket must have status code 101.")
    if web_socket is None and not 200 <= status <= 599:
        raise ValueError(
            "Responses may only be constructed with status codes in the range 200 to 599, "
            "inclusive."
        )
    return status
