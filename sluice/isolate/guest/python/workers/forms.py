"""Form fields as a body and back: `multipart/form-data` and `application/x-www-form-urlencoded`.

RFC 7578, and the URL standard's urlencoded format. Multipart is read by aiohttp's parser.
"""

from __future__ import annotations

import asyncio
import secrets
from email.message import Message
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, MultipartReader, StreamReader
from aiohttp.base_protocol import BaseProtocol

from workers.blob import File
from workers.form_data import FormData

MAX_FIELDS = 10_000
"""Most fields of a form that is read."""

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_ESCAPES = str.maketrans({"\n": "%0A", "\r": "%0D", '"': "%22"})


def encode(form: FormData) -> tuple[str, bytes]:
    """Content type and bytes of a form, as multipart."""
    boundary = f"----formdata-{secrets.token_hex(16)}"
    written = bytearray()
    for name, value in form.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_ESCAPES)}"'
        if isinstance(value, File):
            head += f'; filename="{value.name.translate(_ESCAPES)}"'
            head += f"\r\nContent-Type: {value.content_type or 'application/octet-stream'}"
        content = value.getvalue() if isinstance(value, File) else str(value).encode()
        written += head.encode() + b"\r\n\r\n" + content + b"\r\n"
    written += f"--{boundary}--\r\n".encode()
    return f"{_MULTIPART}; boundary={boundary}", bytes(written)


async def decode(content_type: str | None, content: bytes) -> FormData:
    """Read the form in a body. Raises `TypeError` for a body that is none."""
    kind = Message()
    kind["content-type"] = content_type or ""
    try:
        if content_type and kind.get_content_type() == _URLENCODED:
            return _urlencoded(content.decode(errors="replace"))
        if content_type and kind.get_content_type() == _MULTIPART:
            return await _multipart(content_type, content)
    except ValueError as error:
        raise TypeError(f"The body is no {kind.get_content_type()}: {error}") from error
    raise TypeError(
        f"Unrecognized Content-Type header value {content_type!r}. "
        f"FormData can only parse {_MULTIPART} and {_URLENCODED}."
    )


def _urlencoded(text: str) -> FormData:
    form = FormData()
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS):
        form.append(name, value)
    return form


async def _multipart(content_type: str, content: bytes) -> FormData:
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), max(len(content), 1), loop=loop)
    stream.feed_data(content)
    stream.feed_eof()
    form = FormData()
    async for part in MultipartReader({"Content-Type": content_type}, stream):
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise ValueError("a part has no name")
        if len(form) == MAX_FIELDS:
            raise ValueError(f"more than {MAX_FIELDS} fields")
        value = bytes(await part.read())
        if part.filename is None:
            form.append(part.name, value.decode(errors="replace"))
        else:
            form.append(part.name, File(value, part.filename, part.headers.get("Content-Type")))
    return form
