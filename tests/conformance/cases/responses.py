"""What an origin answers, and what of it the Worker and the client get."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.differences import BROKEN_CHUNK, HOP_BY_HOP, NOT_HTTP
from tests.conformance.origin import Answer, answer

_GZIP = bytes.fromhex("1f8b08000000000002034b4c4a06007d72f1350300000000"[:46])
_STATUSES = [
    ("201 Created", "with a location"),
    ("202 Accepted", "and a body"),
    ("203 Non-Authoritative Information", "rare"),
    ("206 Partial Content", "partial"),
    ("207 Multi-Status", "of WebDAV"),
    ("226 IM Used", "rare"),
    ("299 Unheard Of", "nobody knows it"),
    ("300 Multiple Choices", "is no redirect to follow"),
    ("305 Use Proxy", "is no redirect to follow"),
    ("306 Switch Proxy", "is no redirect to follow"),
    ("400 Bad Request", "an error of the client's is a response"),
    ("401 Unauthorized", "credentials are not asked for on the way"),
    ("402 Payment Required", "passes"),
    ("407 Proxy Authentication Required", "is not for a proxy on the way"),
    ("408 Request Timeout", "is not retried"),
    ("416 Range Not Satisfiable", "passes"),
    ("418 I'm a teapot", "has an apostrophe"),
    ("421 Misdirected Request", "is not retried"),
    ("425 Too Early", "is not retried"),
    ("429 Too Many Requests", "passes"),
    ("451 Unavailable For Legal Reasons", "passes"),
    ("499 Client Closed Request", "nobody has registered it"),
    ("500 Internal Server Error", "the origin's errors are no errors of the mesh"),
    ("502 Bad Gateway", "the origin's"),
    ("503 Service Unavailable", "with retry-after"),
    ("504 Gateway Timeout", "the origin's"),
    ("511 Network Authentication Required", "passes"),
    ("530 Odd", "nobody has registered it"),
    ("599 Very Odd", "the last one"),
]


def _raw(text: bytes, end: str = "keep") -> tuple[Answer, ...]:
    return (Answer(text, end),)


CASES = (
    *(
        Case(f"status-{status[:3]}", why, answers=(answer(status, "retry-after: 1", body=b"b"),))
        for status, why in _STATUSES
    ),
    Case("status-text", "a phrase of the origin's own", answers=(answer("200 All Is Well"),)),
    Case("status-text-seen", "... is seen", "outcome_of", answers=(answer("404 Gone Fishing"),)),
    Case("status-text-none", "no phrase", answers=(answer("200 "),)),
    Case("status-204", "has no body and no length", answers=(answer("204 No Content", body=None),)),
    Case(
        "status-204-seen",
        "... and body is null",
        "outcome_of",
        answers=(answer("204 No Content", body=None),),
    ),
    Case("status-205", "has no content", answers=(answer("205 Reset Content", body=b""),)),
    Case(
        "status-205-seen",
        "... seen",
        "outcome_of",
        answers=(answer("205 Reset Content", body=b""),),
    ),
    Case(
        "status-304",
        "has headers of a body, and none",
        answers=(answer("304 Not Modified", 'etag: "a"', body=None),),
    ),
    Case(
        "status-304-seen",
        "... seen",
        "outcome_of",
        answers=(answer("304 Not Modified", body=None),),
    ),
    Case(
        "status-304-length",
        "may tell a length",
        answers=(answer("304 Not Modified", "content-length: 10", body=None),),
    ),
    Case(
        "interim",
        "interim responses end where they arrive",
        answers=_raw(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + answer().raw),
    ),
    Case(
        "interim-100",
        "a 100 that nobody asked for",
        method="POST",
        body=b"x",
        answers=_raw(b"HTTP/1.1 100 Continue\r\n\r\n" + answer().raw),
    ),
    Case(
        "head-length",
        "HEAD tells the length of what GET would give",
        method="HEAD",
        answers=_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\ncontent-type: a/b\r\n\r\n"),
    ),
    Case(
        "head-no-length",
        "HEAD where no length is known",
        method="HEAD",
        answers=_raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
    ),
    Case(
        "head-404",
        "HEAD of nothing",
        method="HEAD",
        answers=_raw(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n"),
    ),
    Case("body-length", "a length is kept", answers=(answer(body=b"x" * 1000),)),
    Case("body-none", "length 0", answers=(answer(body=b""),)),
    Case("body-binary", "all bytes", answers=(answer(body=bytes(range(256))),)),
    Case(
        "body-long",
        "longer than one message; its length is kept",
        answers=(answer(body=b"abcdefgh" * 70000),),
    ),
    Case(
        "body-chunks",
        "chunks with an extension",
        answers=_raw(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        ),
    ),
    Case(
        "body-no-chunks",
        "an empty chunked body",
        answers=_raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ),
    Case(
        "body-trailers-back",
        "trailers are dropped, as in workerd",
        answers=_raw(
            b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-sum: 1\r\n\r\n"
        ),
    ),
    Case(
        "body-until-close",
        "the end of the connection is a clean end",
        answers=_raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "close"),
    ),
    Case(
        "body-http-1.0",
        "an old origin",
        answers=_raw(b"HTTP/1.0 200 OK\r\ncontent-type: a/b\r\n\r\nold", "close"),
    ),
    Case(
        "body-gzip-back",
        "a compressed body is not touched",
        answers=(answer("200 OK", "content-encoding: gzip", body=_GZIP),),
    ),
    Case(
        "body-br",
        "nor one in another coding",
        answers=(answer("200 OK", "content-encoding: br", body=b"\x0b\x02\x80abc\x03"),),
    ),
    Case(
        "body-zstd",
        "nor one that workerd does not know",
        answers=(answer("200 OK", "content-encoding: zstd", body=b"\x28\xb5\x2f\xfd"),),
    ),
    Case(
        "set-cookie",
        "cookies are not joined",
        answers=(
            answer(
                "200 OK",
                "set-cookie: a=1; Path=/",
                "x-a: 1",
                "Set-Cookie: b=2, c",
                "set-cookie: a=3",
            ),
        ),
    ),
    Case(
        "set-cookie-seen",
        "... and are seen apart",
        "outcome_of",
        answers=(answer("200 OK", "set-cookie: a=1", "set-cookie: b=2"),),
    ),
    Case(
        "back-repeated",
        "repeats keep their order",
        answers=(answer("200 OK", "x-many: 2", "x-b: 1", "X-Many: 1", "x-many: 2"),),
    ),
    Case(
        "back-repeated-seen",
        "... and are seen joined",
        "outcome_of",
        answers=(answer("200 OK", "vary: b", "vary: a"),),
    ),
    Case(
        "back-latin-1", "bytes over 127 pass", answers=(answer("200 OK", b"x-latin: caf\xe9 \xff"),)
    ),
    Case(
        "back-latin-1-seen",
        "... and are seen",
        "outcome_of",
        answers=(answer("200 OK", b"x-latin: caf\xe9"),),
    ),
    Case("back-utf-8", "UTF-8 passes", answers=(answer("200 OK", "x-utf: €"),)),
    Case("back-empty", "an empty value", answers=(answer("200 OK", "x-empty:"),)),
    Case(
        "back-long",
        "a value of 16,000 bytes",
        answers=(answer("200 OK", "x-long: " + "v" * 16000),),
    ),
    Case(
        "back-many",
        "100 headers",
        answers=(answer("200 OK", *(f"x-{n}: {n}" for n in range(100))),),
    ),
    Case("back-type-none", "no content-type is invented", answers=(answer(),)),
    Case(
        "back-type-odd",
        "an odd one is kept",
        answers=(answer("200 OK", 'content-type: TEXT/Html;Charset="utf-8" ; x'),),
    ),
    Case(
        "back-cache",
        "cache headers",
        answers=(
            answer(
                "200 OK",
                "cache-control: no-store",
                'etag: W/"x"',
                "age: 0",
                "expires: 0",
                "pragma: no-cache",
            ),
        ),
    ),
    Case(
        "back-auth",
        "a challenge, repeated",
        answers=(
            answer(
                "401 Unauthorized",
                'www-authenticate: Basic realm="a"',
                "www-authenticate: Digest x",
            ),
        ),
    ),
    Case(
        "back-location",
        "a location without a redirect",
        answers=(answer("201 Created", "location: /made"),),
    ),
    Case(
        "back-link",
        "links, repeated",
        answers=(answer("200 OK", "link: </a>; rel=preload", "link: </b>"),),
    ),
    Case(
        "back-hop-by-hop",
        "fields of the connection end with it",
        answers=(answer("200 OK", "keep-alive: timeout=5", "connection: keep-alive"),),
    ),
    Case(
        "back-named",
        "so do those that it names",
        answers=(answer("200 OK", "connection: x-mine", "x-mine: 1", "x-a: 2"),),
        differs=HOP_BY_HOP,
    ),
    Case(
        "back-alt-svc",
        "alt-svc, server, date of the origin's",
        answers=(answer("200 OK", 'alt-svc: h3=":443"', "server: o", "x-powered-by: o"),),
    ),
    Case(
        "cut-length",
        "a body shorter than it says",
        answers=_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "close"),
    ),
    Case(
        "cut-length-reset",
        "... by a reset",
        answers=_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "reset"),
    ),
    Case(
        "cut-chunk",
        "within a chunk",
        answers=_raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "close"),
    ),
    Case(
        "cut-chunks",
        "without a last chunk",
        answers=_raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n", "close"),
    ),
    Case(
        "cut-chunk-size",
        "no chunk size",
        answers=_raw(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n", "close"
        ),
        differs=BROKEN_CHUNK,
    ),
    Case(
        "cut-seen",
        "the Worker is told",
        "s_see_cut_response",
        answers=_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", "close"),
    ),
    Case(
        "cut-head",
        "within the head",
        "outcome_of",
        answers=_raw(b"HTTP/1.1 200 OK\r\ncontent-", "close"),
    ),
    Case(
        "cut-before-head",
        "before the head",
        "outcome_of",
        method="POST",
        body=b"x",
        answers=_raw(b"", "close"),
    ),
    Case(
        "reset-before-head",
        "by a reset",
        "outcome_of",
        method="POST",
        body=b"x",
        answers=_raw(b"", "reset"),
    ),
    Case(
        "not-http",
        "what is no HTTP is no response",
        "outcome_of",
        answers=_raw(b"SSH-2.0-OpenSSH\r\n\r\n", "close"),
        differs=NOT_HTTP,
    ),
    Case(
        "not-http-status",
        "nor is a status of two digits",
        "outcome_of",
        answers=_raw(b"HTTP/1.1 20 OK\r\n\r\n", "close"),
        differs=NOT_HTTP,
    ),
    Case(
        "not-http-length",
        "nor two lengths",
        "outcome_of",
        answers=_raw(
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "close"
        ),
        differs=NOT_HTTP,
    ),
)
