"""URLs: no hop may normalise what workerd does not."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.differences import ODD_TARGET, TELLS_LENGTH

_TARGETS = [
    ("legal", "/az09-._~!$&'()*+,;=:@/;p=1?a=b&c/d?e", "every legal character"),
    ("percent", "/%41%2f%2F%e9%C3%A9%25%00?%20+%26=%3d", "percent-encodings stay as written"),
    ("dots", "/a/./b/../c/%2e%2e/d", "dot segments are resolved as workerd does"),
    ("dots-over-root", "/../../a", "there is nothing above the root"),
    ("slashes", "//a///b//", "empty segments stay"),
    ("empty-query", "/a?", "an empty query is a query"),
    ("only-query", "/?a", "a query on the root"),
    ("query-marks", "/a?b?c=d??", "question marks in the query"),
    ("query-plus", "/?a+b=c%20d&&=&a", "plus, empty pairs"),
    ("not-encoded", '/a|b{c}^d`e"f<g>?h|i{j}^`"<>\'', "characters that ought to be encoded"),
    ("brackets", "/[a]?b[c]=d", "brackets"),
    ("backslash", "/a\\b?c\\d", "a backslash is a slash to the URL standard"),
    ("colon", "/:80:/@", "nothing that looks like a port is one"),
    ("semicolon", "/a;jsessionid=1;b", "parameters of a segment"),
    ("long", "/" + "a" * 6000 + "?" + "b" * 6000, "12,000 characters"),
]

_SEEN = [
    ("port", "http://host.test:81/outbound/answer", "a port stays"),
    ("default-port", "http://host.test:80/outbound/answer", "a default port goes"),
    ("https", "https://host.test/outbound/answer", "the scheme reaches the Outbound Worker"),
    ("https-port", "https://host.test:443/outbound/answer", "... without its default port"),
    ("idn", "https://bücher.example/outbound/answer?ü=ß", "names are Punycode, queries UTF-8"),
    ("case", "HTTPS://HOST.Test/outbound/answer", "scheme and host are lower-case"),
    ("v6", "http://[2001:DB8::1]:8080/outbound/answer", "IPv6 literals"),
    ("v4-odd", "http://0x7f.1/outbound/answer", "odd spellings of IPv4 are resolved"),
    ("fragment", "http://host.test/outbound/answer#here", "a fragment is not sent"),
    ("userinfo", "http://u:p@host.test/outbound/answer", "userinfo, as workerd has it"),
    ("underscore", "http://a_b.host.test/outbound/answer", "names need not be host names"),
    ("trailing-dot", "http://host.test./outbound/answer", "a rooted name"),
    ("bad-host", "http://a b/", "no URL"),
    ("bad-port", "http://a:99999/", "no port"),
    ("no-host", "http:///", "no host"),
]

_ODD = [
    ("utf-8", "/caf\u00c3\u00a9", "bytes that are not ASCII"),
    ("asterisk", "*", "the asterisk form, which only OPTIONS may ask for"),
]

CASES = (
    *(Case(f"url-{name}", why, target=url, differs=ODD_TARGET) for name, url, why in _ODD),
    *(Case(f"url-{name}", why, target=target) for name, target, why in _TARGETS),
    Case("url-seen", "the Worker sees its URL as written", "see", target="/a%2fb/../c?%20+#"),
    Case("url-absolute", "a target in absolute form", "see", target="http://see.caught.test/a?b"),
    *(
        Case(
            f"url-to-{name}",
            why,
            "init",
            headers=(f"x-url: {url}",),
            differs=TELLS_LENGTH if "/outbound/answer" in url else None,
        )
        for name, url, why in _SEEN
    ),
)
