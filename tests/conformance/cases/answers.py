"""What a Worker answers by itself, and what the client gets."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.differences import CLASS_OF_ITS_OWN, ERROR_PAGE, NO_CF, NO_FIRST_BYTE

_KINDS = {
    "a_text": "a string is text/plain in UTF-8",
    "a_json": "Response.json",
    "a_bytes": "bytes have no type",
    "a_buffer": "a buffer has no type",
    "a_blob": "a Blob has its type",
    "a_blob_untyped": "... or none",
    "a_search": "URLSearchParams are a form",
    "a_form": "FormData is multipart",
    "a_null": "no body",
    "a_nothing": "nothing at all",
    "a_empty": "an empty body",
    "a_stream": "a stream, by pieces",
    "a_stream_empty": "an empty stream is a clean end",
    "a_stream_typed": "a stream with a type",
    "a_stream_length": "a FixedLengthStream tells its length",
    "a_stream_short": "... and is cut short where it was shorter",
    "a_transform": "a TransformStream",
    "a_gzip": "encodeBody manual sends bytes as they are",
    "a_gzip_auto": "encodeBody automatic encodes once",
    "a_big": "1 MiB in one piece",
    "a_status_text": "a phrase of the Worker's",
    "a_redirect": "Response.redirect",
    "a_redirect_relative": "... of a relative URL throws",
    "a_error": "Response.error() is no response",
    "a_cookies": "cookies and repeats",
    "a_cache": "cache headers",
    "a_headers": "latin-1, empty, quoted, long values",
    "a_header_utf8": "a value beyond latin-1",
    "a_own_framing": "framing is not the Worker's to say",
    "a_own_date": "headers that others would add",
    "a_clone": "a cloned response",
    "a_throw": "an exception reaches the dispatch Worker",
    "a_throw_custom": "... with a class of its own",
    "a_throw_string": "... that is no Error",
    "a_throw_later": "... after a wait",
    "a_reject_null": "... that is null",
    "a_no_response": "undefined is no response",
    "a_not_response": "a string is no response",
    "a_used_body": "a response whose body was read",
    "a_pass_through": "passThroughOnException without an exception",
    "see_cf": "request.cf",
    "s_error": "a stream that the Worker breaks off",
}

_DIFFER = {
    "a_stream_short": NO_FIRST_BYTE,
    "a_throw_custom": CLASS_OF_ITS_OWN,
    "see_cf": NO_CF,
}

CASES = (
    *(
        Case(name.replace("_", "-"), why, name, differs=_DIFFER.get(name))
        for name, why in _KINDS.items()
    ),
    Case("a-head", "HEAD of a Worker's text", "a_text", method="HEAD"),
    Case("a-head-stream", "HEAD of a stream", "a_stream", method="HEAD"),
    *(
        Case(f"a-status-{status}", "a status without a body", "a_status", target=f"/{status}")
        for status in (200, 204, 205, 304, 404, 500)
    ),
    *(
        Case(f"a-body-{status}", "a status with a body", "a_status_body", target=f"/{status}")
        for status in (200, 201, 204, 404, 599)
    ),
    Case("a-status-101", "101 without a WebSocket", "a_status", target="/101"),
    Case("a-status-600", "no status", "a_status", target="/600"),
    Case(
        "a-throw-uncaught",
        "an exception nobody catches",
        "a_throw",
        uncaught=True,
        differs=ERROR_PAGE,
    ),
    Case(
        "a-error-uncaught",
        "no response that nobody catches",
        "a_error",
        uncaught=True,
        differs=ERROR_PAGE,
    ),
    Case("a-status-text-head", "HEAD keeps the phrase", "a_status_text", method="HEAD"),
)
