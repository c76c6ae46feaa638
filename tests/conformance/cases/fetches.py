"""What a Worker fetches, and what the origin and the Outbound Worker see of it."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.differences import ERROR_PAGE, HOP_BY_HOP, TELLS_LENGTH
from tests.conformance.origin import Answer, answer

_KINDS = {
    "f_text": "a string body has a type and a length",
    "f_bytes": "a byte body has a length and no type",
    "f_blob": "a Blob has its type",
    "f_search": "URLSearchParams are a form",
    "f_null": "POST without a body",
    "f_empty": "POST with an empty body",
    "f_stream": "a stream is sent in chunks",
    "f_stream_length": "... unless it tells its length",
    "f_headers": "repeats, latin-1, cookies, user-agent",
    "f_own_framing": "framing and host are not the Worker's to say",
    "f_control": "forwarding headers of the Worker's",
    "f_bad_header": "a line break in a value throws",
    "f_bad_method": "CONNECT throws",
    "f_bad_url": "what is no URL throws",
    "f_bad_scheme": "so does another scheme",
    "f_get_body": "so does GET with a body",
    "f_data": "data: is answered in the isolate",
    "f_request_object": "a Request made of a Request",
    "f_request_clone": "a cloned Request is sent twice",
    "f_in_turn": "subrequests in turn",
    "f_body_ignored": "a body that nobody reads",
}
_HTML = answer("200 OK", "content-type: text/html", body=b'<a href="old">x</a>')
_GZIPPED = bytes.fromhex("1f8b08000000000002ff4b4c4a0600c241243503000000")

_INITS = [
    ("method-lower", '{"method": "post"}', "fetch() makes known methods upper case"),
    ("method-patch", '{"method": "patch"}', "... but not this one"),
    ("method-custom", '{"method": "PROPFIND"}', "a method of WebDAV"),
    ("method-unknown", '{"method": "FROB"}', "a method that nobody knows"),
    ("head", '{"method": "HEAD"}', "HEAD"),
    ("options", '{"method": "OPTIONS"}', "OPTIONS"),
    ("delete-body", '{"method": "DELETE", "body": "x"}', "DELETE with a body"),
    (
        "header-order",
        '{"headers": [["z", "1"], ["a", "2"], ["z", "3"]]}',
        "repeats keep their order",
    ),
    ("cf", '{"cf": {"cacheTtl": 5}}', "request.cf changes nothing"),
    ("cache", '{"cache": "no-store"}', "cache: no-store adds what workerd adds"),
    ("integrity", '{"redirect": "bogus"}', "an unknown redirect mode throws"),
]

CASES = (
    *(Case(name.replace("_", "-"), why, name) for name, why in _KINDS.items()),
    *(
        Case(f"init-{name}", why, "init", headers=(f"x-init: {options}",))
        for name, options, why in _INITS
    ),
    Case("f-hop-by-hop", "nor are fields of the connection", "f_hop_by_hop", differs=HOP_BY_HOP),
    Case("f-edited", "a response with another status and header", "f_response_edited"),
    Case("f-clone", "a response cloned", "f_response_clone", answers=(answer(body=b"c" * 1000),)),
    Case(
        "f-header-deleted",
        "a header taken out",
        "f_header_delete",
        answers=(answer("200 OK", "set-cookie: a"),),
    ),
    Case("f-json", "a body as JSON", "f_json", answers=(answer(body=b'{"a": [1]}'),)),
    Case("f-bad-json", "a body that is no JSON", "f_bad_json", answers=(answer(body=b"{"),)),
    Case("f-html", "HTMLRewriter", "f_html", answers=(_HTML,)),
    Case(
        "f-reader", "a long body by its reader", "f_reader", answers=(answer(body=b"x" * 300000),)
    ),
    Case("f-tee", "a body in two", "f_tee", answers=(answer(body=b"tee"),)),
    Case(
        "f-decoded",
        ".text() decodes gzip in the isolate",
        "f_encoded",
        answers=(answer("200 OK", "content-encoding: gzip", body=_GZIPPED),),
    ),
    Case("f-abort-before", "a signal that is aborted already", "f_abort_before"),
    Case(
        "f-outbound-throws",
        "what the Outbound Worker throws",
        "outcome_of",
        target="/outbound/throw",
    ),
    Case(
        "f-outbound-answers",
        "what it answers by itself",
        "outcome_of",
        target="/outbound/answer",
        differs=TELLS_LENGTH,
    ),
    Case(
        "f-outbound-nothing",
        "where it answers nothing",
        "outcome_of",
        target="/outbound/no-response",
    ),
    Case("f-outbound-error", "where it answers an error", "outcome_of", target="/outbound/error"),
    Case("f-outbound-used", "or a used response", "outcome_of", target="/outbound/used"),
    Case(
        "f-outbound-echo",
        "it has the body",
        "outcome_of",
        "POST",
        "/outbound/stream",
        body=b"to it",
        differs=TELLS_LENGTH,
    ),
    Case("f-outbound-pass", "its answer reaches the client", target="/outbound/answer"),
    Case(
        "f-throws-uncaught",
        "its exception, caught by nobody",
        target="/outbound/throw",
        uncaught=True,
        differs=ERROR_PAGE,
    ),
    Case("f-refused", "nobody listens", "f_refused"),
    Case(
        "f-body-cancelled",
        "a body that is cancelled",
        "f_body_cancelled",
        answers=(answer(body=b"x" * 10),),
    ),
    Case(
        "f-reset",
        "a reset before a response, caught by nobody",
        "f_text",
        answers=(Answer(b"", "reset"),),
    ),
)
