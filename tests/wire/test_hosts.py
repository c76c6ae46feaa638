from __future__ import annotations

import re
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given, strategies

from sluice.wire.hosts import Host, Pattern

SAME = [
    ("Example.COM", "example.com"),  # case
    ("example.com.", "example.com"),  # the root's dot
    ("example.com..", "example.com"),  # aiohttp takes two for one
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),  # punycode stays punycode
    ("192.0.2.7", "192.0.2.7"),
    ("192.0.2.7.", "192.0.2.7"),
    ("3221225991", "192.0.2.7"),  # one number (inet_aton)
    ("0xC0000207", "192.0.2.7"),  # in hexadecimal
    ("030000001007", "192.0.2.7"),  # in octal
    ("192.0.519", "192.0.2.7"),  # three numbers
    ("0300.0.02.07", "192.0.2.7"),  # octal parts
    ("2001:DB8:0:0:0:0:0:7", "2001:db8::7"),  # IPv6 written out
    ("::ffff:192.0.2.7", "192.0.2.7"),  # IPv4-mapped
    ("::ffff:c000:207", "192.0.2.7"),  # the same in hexadecimal
    ("under_score.example.com", "under_score.example.com"),
    ("%65vil.example", "%65vil.example"),  # nothing on the way decodes it
    ("1.2.3.4.5", "1.2.3.4.5"),  # no address: a name like any
]


@pytest.mark.parametrize(("written", "text"), SAME)
def test_every_way_to_write_a_host_is_one(written: str, text: str) -> None:
    """Hosts that a connection takes for the same are the same text."""
    assert Host.parse(written).text == text


MATCHES = [
    ("example.com", "example.com", True),
    ("example.com", "www.example.com", False),  # no star, no subdomain
    ("example.com", "notexample.com", False),
    ("*.example.com", "api.example.com", True),
    ("*.example.com", "a.b.example.com", True),  # a star spans dots
    ("*.example.com", "example.com", False),  # below, not itself
    ("*.example.com", "evilexample.com", False),  # the dot counts
    ("*.example.com", "example.com.evil.test", False),  # only looks like it
    ("*.example.com", "api.example.com.", True),
    ("google.*", "google.co.uk", True),  # rows of Cloudflare's own table
    ("google.*", "maps.google.com", False),
    ("api.*.com", "api.stripe.com", True),
    ("api.*.com", "api.stripe.co.uk", False),
    ("*", "example.com", True),
    ("*", "2001:db8::1", True),  # everything is everything
    ("a*b*c", "abc", True),
    ("a*b*c", "axbyc", True),
    ("a*b*c", "acb", False),
    ("ab*ba", "aba", False),  # what two parts match may not overlap
    ("*a*a", "a", False),
    ("**.example.com", "api.example.com", True),  # a star more changes nothing
    ("EXAMPLE.com.", "example.com", True),  # patterns are as canonical as hosts
    ("bücher.example", "xn--bcher-kva.example", True),
    ("BÜCHER.example", "xn--bcher-kva.example", True),
    ("*.bücher.example", "www.xn--bcher-kva.example", True),
    ("\uff45xample\u3002com", "example.com", True),  # a fullwidth letter and dot (UTS 46)
    ("192.0.2.7", "192.0.2.7", True),
    ("192.0.2.7", "0xc0000207", True),  # the address, whatever its form
    ("192.0.2.7", "::ffff:192.0.2.7", True),
    ("0xc0000207", "192.0.2.7", True),
    ("192.0.2.7", "192.0.2.70", False),
    ("192.0.2.0/24", "192.0.2.200", True),
    ("192.0.2.0/24", "192.0.3.1", False),
    ("192.0.2.0/24", "2001:db8::1", False),
    ("192.0.2.0/24", "a192.0.2.0.example", False),  # a name is in no network
    ("192.0.*", "192.0.2.7", True),  # an address as text, for a name with a star
    ("2001:db8::7", "2001:db8:0::7", True),
    ("[2001:db8::7]", "2001:db8::7", True),  # as in a URL
    ("2001:db8::/32", "2001:db8:ffff::", True),
    ("2001:db8::/32", "2001:db9::", False),
]


@pytest.mark.parametrize(("pattern", "host", "expected"), MATCHES)
def test_pattern(pattern: str, host: str, expected: bool) -> None:
    """A pattern matches the hosts that Cloudflare's documentation says, however they are written."""
    assert Pattern.parse(pattern).matches(Host.parse(host)) is expected


BAD = [
    ("", "expected letters"),
    (".", "expected letters"),
    (".example.com", "begins with a dot"),  # which hosts would it be?
    ("example.com:443", "no port here"),
    ("[2001:db8::1]:443", "no port here"),
    ("https://example.com", "a URL"),
    ("https://example.com/", "a URL"),
    ("example.com/path", "does not appear to be"),  # no network either
    ("192.0.2.1/24", "host bits set"),  # which one is meant?
    ("::ffff:192.0.2.0/120", "IPv4-mapped"),  # such hosts are IPv4 here, and would never match
    ("user@example.com", "expected letters"),
    ("exa mple.com", "expected letters"),
    ("example.com\n", "expected letters"),
    ("%65xample.com", "expected letters"),
    ("[example.com]", "expected letters"),
    ("fe80::1%eth0", "neither"),
    ("b*ücher.example", "punycode"),  # a part of a label has no punycode
    ("\u2603.example", "no host name"),  # a snowman is in no name (RFC 5892)
    ("a" * 256, "longer than 255"),
]


@pytest.mark.parametrize(("pattern", "says"), BAD)
def test_what_is_no_pattern_is_refused(pattern: str, says: str) -> None:
    """A pattern that could never match, or not what its writer meant, is an error that says so."""
    with pytest.raises(ValueError, match=says):
        Pattern.parse(pattern)


def test_stars_cost_no_more_than_text() -> None:
    """A pattern of many stars is not exponential in a host that nearly matches."""
    pattern = Pattern.parse("a*" * 127)
    host = Host.parse("a" * 253 + ".b")
    stubborn = Pattern.parse("*a" * 100 + "*c")
    start = process_time()
    for _ in range(100):
        assert pattern.matches(host)
        assert not stubborn.matches(host)
    assert process_time() - start < 1


NAMES = strategies.text("ab.-*", min_size=1, max_size=12)


@given(NAMES.filter(lambda text: text.strip(".") and text[0] != "."), NAMES)
def test_a_star_is_any_characters(pattern: str, host: str) -> None:
    """Patterns are what a regular expression makes of them, with `*` for `.*`."""
    expression = ".*".join(map(re.escape, pattern.rstrip(".").split("*")))
    found = Host.parse(host)
    assert Pattern.parse(pattern).matches(found) is bool(re.fullmatch(expression, found.text))


@given(strategies.text(max_size=40))
def test_any_text_is_a_pattern_or_an_error(text: str) -> None:
    """Whatever is written as a pattern is read, or is a `ValueError`; nothing else is raised."""
    with suppress(ValueError):
        Pattern.parse(text).matches(Host.parse("a.example"))


@given(strategies.text("0123456789abcdefx.:", max_size=20))
def test_canonical_is_canonical(text: str) -> None:
    """A host in canonical form is its own canonical form."""
    host = Host.parse(text)
    assert Host.parse(host.text) == host
