"""Which request a redirect asks for.

https://fetch.spec.whatwg.org/#http-redirect-fetch
"""

from __future__ import annotations

from typing import Any

from workers import url as urls
from workers.headers import Headers
from workers.request import Request

_STATUSES = (301, 302, 303, 307, 308)
_OF_BODY = ("content-type", "content-length", "content-encoding", "content-language")


def following(
    request: Request, status: int, location: str | None, content: bytes | None
) -> Request | None:
    """The request to send after an answer, if any. `content` is the body, where it is at hand.

    Raises `TypeError` where there should be one and cannot.
    """
    if status not in _STATUSES or request.redirect == "manual" or location is None:
        return None
    target = urls.parse(location, base=request.url)
    headers = Headers(request.headers)
    if urls.origin(target) != urls.origin(request.url):
        headers.delete("authorization")
    options: dict[str, Any] = {"method": request.method, "headers": headers}
    if _becomes_get(status, request.method):
        options["method"] = "GET"
        for name in _OF_BODY:
            headers.delete(name)
    elif request.body is not None:
        if content is None:
            raise TypeError(
                "A request with a one-time-use body (it was initialized from a stream, not a "
                "buffer) encountered a redirect requiring the body to be retransmitted. To avoid "
                "this error in the future, construct this request from a buffer-like body."
            )
        options["body"] = content
    return Request(target, **options)


def _becomes_get(status: int, method: str) -> bool:
    if status == 303:
        return method not in ("GET", "HEAD")
    return status in (301, 302) and method == "POST"
