"""What a client sends, and what the Worker and the origin make of it."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.differences import EXPECT, HOP_BY_HOP, REFUSED

_LONG = "v" * 16000

_METHODS = [
    ("GET", "the common case"),
    ("HEAD", "its response has a length and no body"),
    ("POST", "without a body, says length 0"),
    ("PUT", "without a body, says length 0"),
    ("DELETE", "may have a body, has none here"),
    ("OPTIONS", "is not answered on the way"),
    ("PATCH", "Fetch does not normalise its case"),
    ("PROPFIND", "is of WebDAV, and passes"),
    ("QUERY", "is young, and passes where workerd knows it"),
    ("TRACE", "is forbidden to fetch(), as a request it arrives"),
    ("PURGE", "caches use it"),
]

_UNKNOWN = [
    ("get", "a method is case-sensitive: this is not GET"),
    ("FROBNICATE", "nobody knows it"),
]

CASES = (
    *(Case(f"method-{name}", why, method=name) for name, why in _METHODS),
    *(Case(f"method-{name}", why, method=name, differs=REFUSED) for name, why in _UNKNOWN),
    Case("method-seen", "the Worker sees the method as it is", "see", method="DELETE"),
    Case("method-see-head", "HEAD reaches the Worker as HEAD", "see", method="HEAD"),
    Case("body", "bytes and length pass", method="POST", body=b"\0\xff\r\n\r\n0\r\n\r\n"),
    Case("body-empty", "length 0 is not no length", method="POST", body=b""),
    Case("body-get", "a GET with length 0", body=b""),
    Case("body-delete", "a DELETE with a body", method="DELETE", body=b"why"),
    Case("body-seen", "the Worker sees the bytes", "see_bytes", method="POST", body=b"\0\xff"),
    Case("body-is-null", "without a body, request.body is null", "see"),
    Case("body-is-not-null", "an empty body is a body", "see", method="POST", body=b""),
    Case(
        "body-chunked",
        "chunks are joined; their sizes and extensions mean nothing",
        method="POST",
        headers=("transfer-encoding: chunked",),
        body=b"3;a=b\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
    ),
    Case(
        "body-chunked-empty",
        "an empty chunked body",
        method="POST",
        headers=("transfer-encoding: chunked",),
        body=b"0\r\n\r\n",
    ),
    Case(
        "body-trailers",
        "trailers are dropped, as in workerd",
        method="POST",
        headers=("transfer-encoding: chunked", "trailer: x-sum"),
        body=b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
        differs=HOP_BY_HOP,
    ),
    Case("body-big", "longer than one message", method="PUT", body=b"0123456789abcdef" * 65536),
    Case(
        "body-gzip",
        "a compressed body is not touched",
        method="POST",
        headers=("content-encoding: gzip", "content-type: text/plain"),
        body=bytes.fromhex("1f8b08000000000000034b4c4a06002a8b7b350300000000"[:40]),
    ),
    Case(
        "body-form",
        "a form is parsed",
        "see_form",
        method="POST",
        headers=("content-type: application/x-www-form-urlencoded",),
        body=b"a=1+2&a=%26&b",
    ),
    Case(
        "body-multipart",
        "a multipart form with a file is parsed",
        "see_form",
        method="POST",
        headers=("content-type: multipart/form-data; boundary=zz",),
        body=b'--zz\r\ncontent-disposition: form-data; name="f"; filename="a.txt"\r\n'
        b"content-type: text/x\r\n\r\nfile\r\n--zz\r\n"
        b'content-disposition: form-data; name="n"\r\n\r\nv\r\n--zz--\r\n',
    ),
    Case("body-twice", "a body is read once", "a_body_used", method="POST", body=b"x"),
    Case("body-clone", "a request is cloned", "a_request_clone", method="POST", body=b"two"),
    Case(
        "expect",
        "100 Continue comes before the response",
        method="POST",
        headers=("expect: 100-continue",),
        body=b"asked",
        differs=EXPECT,
    ),
    Case("headers-none", "nothing is added to a bare request"),
    Case(
        "headers-repeated",
        "repeats keep their order",
        headers=("x-many: 1", "x-other: 2", "X-Many: 3", "x-many: 1"),
    ),
    Case(
        "headers-repeated-seen",
        "the Worker sees repeats joined, in order",
        "see",
        headers=("x-many: b", "x-many: a", "accept: a", "accept: b"),
    ),
    Case("headers-case", "names are lower-case to the Worker", "see", headers=("X-UPPER: V",)),
    Case("headers-latin-1", "bytes over 127 pass", headers=(b"x-latin: caf\xe9 \xa0 \xff",)),
    Case("headers-latin-1-seen", "... and are seen", "see", headers=(b"x-latin: caf\xe9",)),
    Case("headers-utf-8", "UTF-8 passes as bytes", headers=("x-utf: €",)),
    Case(
        "headers-utf-8-seen",
        "... and is seen as the original shows it",
        "see",
        headers=("x-utf: €",),
    ),
    Case("headers-empty", "an empty value is a value", headers=("x-empty:", "x-blank:  ")),
    Case(
        "headers-space", "space around a value is not the value", "see", headers=("x-a: \t b c \t",)
    ),
    Case("headers-punctuation", "all of a token's characters", headers=("x-!#$%&'*+.^_`|~09: v",)),
    Case("headers-quoted", "quotes and commas stay", headers=('x-q: "a, b";q=1, \\"c',)),
    Case("headers-long", "a value of 16,000 bytes", headers=(f"x-long: {_LONG}",)),
    Case("headers-many", "100 headers", headers=tuple(f"x-{n}: {n}" for n in range(100))),
    Case("headers-cookie", "cookies", headers=("cookie: a=1; b=2",)),
    Case("headers-cookies", "repeated cookies", "see", headers=("cookie: a=1", "cookie: b=2")),
    Case("headers-authorization", "credentials pass", headers=("authorization: Basic YTpi",)),
    Case(
        "headers-conditional",
        "conditions pass",
        headers=('if-none-match: W/"a", "b"', "if-modified-since: x", 'if-range: "c"'),
    ),
    Case("headers-range", "a range passes", "a_range", headers=("range: bytes=1-3",)),
    Case(
        "headers-encoding",
        "accept-encoding is the client's",
        headers=("accept-encoding: br;q=0.5",),
    ),
    Case("headers-no-encoding", "no accept-encoding is added", "see"),
    Case("headers-agent", "the user agent is the client's", headers=("user-agent: me/1.0 (x)",)),
    Case("headers-te", "te is of one connection", headers=("te: trailers",), differs=HOP_BY_HOP),
    Case(
        "headers-keep-alive",
        "keep-alive is of one connection",
        headers=("keep-alive: timeout=5",),
        differs=HOP_BY_HOP,
    ),
    Case(
        "headers-forwarded",
        "forwarding headers are not Sluice's business",
        headers=("x-forwarded-for: 1.2.3.4", "forwarded: for=x", "via: 1.0 a", "cf-ray: 1"),
    ),
    Case("headers-content", "content headers without a body", headers=("content-type: a/b",)),
    Case(
        "headers-priority", "new headers pass", headers=("priority: u=1, i", "sec-fetch-mode: cors")
    ),
)
