"""What requests and responses share: headers, and a body that is read once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable
from typing import Any, Self

from workers import forms
from workers.blob import Blob
from workers.body import USED, Body, Buffer
from workers.form_data import FormData
from workers.headers import Headers
from workers.record import Record


class Message:
    """Headers and a body. The methods that read the body raise `OSError` once it was read."""

    headers: Headers
    _body: Body | None

    @property
    def body(self) -> Body | None:
        """The body as a stream of `bytes`, to be iterated or sent on."""
        return self._body

    @property
    def js_object(self) -> Self:
        """The message itself: Cloudflare has JavaScript's object below it."""
        return self

    @property
    def body_used(self) -> bool:
        """Whether the body was read, or is being read."""
        return self._body is not None and self._body.is_used

    bodyUsed = body_used  # noqa: N815 — JavaScript's name

    async def bytes(self) -> Buffer:
        """Read the body."""
        return Buffer(b"" if self._body is None else await self._body.read())

    async def text(self) -> str:
        """Read the body as UTF-8."""
        return (await self.bytes()).decode("utf-8-sig", errors="replace")

    async def read_json(self, **kwargs: Any) -> Any:
        """Read the body as JSON. Members of an object can be read as attributes too."""
        kwargs.setdefault("object_hook", Record)
        return json.loads(await self.text(), **kwargs)

    async def form_data(self) -> FormData:
        """Read the body as a form. Raises `TypeError` where it is none."""
        return await forms.decode(self.headers.get("content-type"), await self.bytes())

    async def blob(self) -> Blob:
        """Read the body, with its content type."""
        return Blob([await self.bytes()], self.headers.get("content-type"))

    async def buffer(self) -> Buffer:
        """Read the body."""
        return await self.bytes()

    # JavaScript's names.
    arrayBuffer = buffer  # noqa: N815
    formData = form_data  # noqa: N815

    def _require_unused(self) -> None:
        if self.body_used:
            raise OSError(USED)

    def _cloned_body(self) -> Body | None:
        """A second body like this one's."""
        self._require_unused()
        if self._body is None:
            return None
        self._body, clone = self._body.tee()
        return clone


def body_of(value: Any, headers: Headers, subject: str) -> Body | None:
    """The body that a constructor was given. Adds its content type, unless `headers` has one."""
    body, content_type = _converted(value, subject)
    if content_type and "content-type" not in headers:
        headers.set("content-type", content_type)
    return body


def _converted(value: Any, subject: str) -> tuple[Body | None, str | None]:
    if value is None:
        return None, None
    if isinstance(value, str):
        return Body(value.encode()), "text/plain;charset=UTF-8"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Body(bytes(value)), None
    if isinstance(value, FormData):
        content_type, content = forms.encode(value)
        return Body(content), content_type
    if isinstance(value, Blob):
        return Body(bytes(value.getvalue())), value.content_type
    if isinstance(value, Body):
        return _transferred(value), None
    if isinstance(value, AsyncIterable):
        return Body(value), None
    raise TypeError(
        f"Unsupported type in {subject}: {type(value).__name__}. A body is a str, bytes, "
        "a FormData, a Blob, the body of another message, or an async iterator of bytes."
    )


def _transferred(body: Body) -> Body:
    """The same content for another message; the first can no longer be read."""
    length, coding = body.length, body.coding
    return Body(body.take(), length=length, coding=coding)
