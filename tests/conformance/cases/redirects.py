"""Redirects: followed in the user's isolate, each hop through the Outbound Worker."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.differences import OTHER_SCHEME, TELLS_LENGTH
from tests.conformance.origin import OK, Answer, answer


def _to(status: int, location: str) -> Answer:
    return answer(f"{status} Redirect", f"location: {location}", body=b"moved")


_POST = 'x-init: {"method": "POST", "body": "b", "headers": {"content-type": "a/b", "x-a": "1"}}'
_PUT = 'x-init: {"method": "PUT", "body": "b"}'
_SECRET = (
    'x-init: {"headers": {"authorization": "Basic YTpi", "cookie": "a=1", '
    '"proxy-authorization": "c", "x-api-key": "k"}}'
)

_LOCATIONS = [
    ("/next", "an absolute path"),
    ("next?a=b", "a relative path"),
    ("?only=query", "a query"),
    ("../up", "dot segments"),
    ("", "an empty one"),
    ("/a b", "with a space"),
    ("/caf%C3%A9#part", "with a fragment"),
    ("http://u:p@127.0.0.1:2/", "with userinfo, to where nobody listens"),
    ("ftp://example.com/", "to another scheme"),
    ("http://[bad/", "no URL"),
]

CASES = (
    *(
        Case(
            f"follow-{status}",
            "GET is followed",
            "init",
            target="/a/b",
            answers=(_to(status, "/next"), OK),
        )
        for status in (301, 302, 303, 307, 308)
    ),
    *(
        Case(f"post-{status}", why, "init", headers=(_POST,), answers=(_to(status, "/next"), OK))
        for status, why in [
            (301, "POST becomes GET, without a body"),
            (302, "POST becomes GET, without a body"),
            (303, "POST becomes GET, without a body"),
            (307, "POST stays POST, with its body"),
            (308, "POST stays POST, with its body"),
        ]
    ),
    *(
        Case(f"put-{status}", why, "init", headers=(_PUT,), answers=(_to(status, "/next"), OK))
        for status, why in [
            (301, "PUT is not POST, and stays"),
            (302, "PUT is not POST, and stays"),
            (303, "PUT becomes GET"),
            (307, "PUT stays PUT"),
        ]
    ),
    Case(
        "head-303",
        "HEAD stays HEAD",
        "init",
        headers=('x-init: {"method": "HEAD"}',),
        answers=(
            answer("303 See Other", "location: /n", body=None),
            Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ),
    ),
    *(
        Case(
            f"location-{number}",
            why,
            "init",
            target="/a/b?c",
            answers=(
                _to(302, location),
                OK,
            ),
            differs=OTHER_SCHEME if location.startswith("ftp:") else None,
        )
        for number, (location, why) in enumerate(_LOCATIONS)
    ),
    Case(
        "location-none",
        "a redirect to nowhere is a response",
        "init",
        answers=(answer("302 Found"),),
    ),
    Case(
        "location-twice",
        "two locations",
        "init",
        answers=(answer("302 Found", "location: /1", "location: /2"), OK),
    ),
    Case(
        "chain",
        "several hops, each seen",
        "init",
        answers=(_to(301, "/1"), _to(302, "/2"), _to(307, "/3"), OK),
    ),
    Case("twenty", "20 are followed", "init", answers=(*[_to(302, "/again")] * 20, OK)),
    Case("too-many", "and no more", "init", answers=(_to(302, "/again"),)),
    Case(
        "manual",
        "manual gives the redirect itself",
        "init",
        headers=('x-init: {"redirect": "manual"}',),
        answers=(_to(302, "/n"),),
    ),
    Case(
        "manual-pass",
        "... to the client, too",
        "init_pass",
        headers=('x-init: {"redirect": "manual"}',),
        answers=(_to(308, "https://e.test/"),),
    ),
    Case(
        "error",
        "error throws",
        "init",
        headers=('x-init: {"redirect": "error"}',),
        answers=(_to(302, "/n"),),
    ),
    Case("passed-on", "a request from outside is not followed", answers=(_to(302, "/n"),)),
    Case(
        "same-origin",
        "credentials stay on the same origin",
        "init",
        headers=(_SECRET,),
        answers=(_to(302, "/n"), OK),
    ),
    Case(
        "cross-origin",
        "and are dropped on another",
        "init",
        headers=(_SECRET,),
        answers=(_to(302, "{OTHER}/n"), OK),
    ),
    Case(
        "cross-origin-post",
        "307 to another origin keeps the body",
        "init",
        headers=(_POST,),
        answers=(_to(307, "{OTHER}/n"), OK),
    ),
    Case("stream-307", "a stream cannot be sent again", "f_stream", answers=(_to(307, "/n"), OK)),
    Case("stream-303", "nor need it be", "f_stream", answers=(_to(303, "/n"), OK)),
    Case(
        "to-answer",
        "to where the Outbound Worker answers",
        "init",
        answers=(_to(302, "/outbound/answer"),),
        differs=TELLS_LENGTH,
    ),
    Case("to-throw", "to where it throws", "init", answers=(_to(302, "/outbound/throw"),)),
    Case(
        "with-cookie",
        "a cookie on a redirect is nobody's",
        "init",
        answers=(answer("302 F", "location: /n", "set-cookie: a=1"), OK),
    ),
    Case("300-location", "300 is not followed", "init", answers=(answer("300 M", "location: /n"),)),
    Case(
        "304-location", "nor is 304", "init", answers=(answer("304 N", "location: /n", body=None),)
    ),
)
