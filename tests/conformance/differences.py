"""What `docs/compatibility.md` lists as different: for each row, what a case of it must show."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.conformance.case import Difference

Seen = dict[str, Any]


def _refused(plain: Seen, mesh: Seen) -> None:
    """The same status, in other words."""
    assert plain["client"]["start"] == mesh["client"]["start"]
    assert (mesh["origin"], mesh["workers"]) == ([], [])
    assert plain["client"].pop("body") != mesh["client"].pop("body")


REFUSED = Difference("what is no request", _refused)


def _odd_target(plain: Seen, mesh: Seen) -> None:
    assert mesh["client"]["start"] == "HTTP/1.1 400 Bad Request"
    assert (mesh["origin"], mesh["workers"]) == ([], [])
    assert "400" not in plain["client"]["start"]


ODD_TARGET = Difference("a request target that is no ASCII URL", _odd_target)


def _error_page(plain: Seen, mesh: Seen) -> None:
    assert plain["client"]["start"] == mesh["client"]["start"]
    assert plain["client"]["body"] == b"Internal Server Error"
    assert re.fullmatch(rb"WORKER_EXCEPTION \(trace [0-9a-f]{32}\)\n", mesh["client"]["body"])
    _same_but(plain, mesh, "client")


ERROR_PAGE = Difference("an exception that nobody catches", _error_page)


def _expect(plain: Seen, mesh: Seen) -> None:
    assert plain["origin"][0]["headers"].count(("expect", b"100-continue")) == 1
    plain["origin"][0]["headers"].remove(("expect", b"100-continue"))
    assert plain["client"].pop("interim") == ["HTTP/1.1 100 Continue"]
    assert mesh["client"].pop("interim") == []  # the body was there already
    assert plain["origin"] == mesh["origin"]
    assert plain["client"] == mesh["client"]


EXPECT = Difference("`Expect: 100-continue`", _expect)


_HOP_BY_HOP = {"te", "keep-alive", "trailer", "x-mine"}


def _hop_by_hop(plain: Seen, mesh: Seen) -> None:
    for message in (plain["client"], *plain["workers"]):
        message["headers"] = [pair for pair in message["headers"] if pair[0] not in _HOP_BY_HOP]
    assert plain == mesh


HOP_BY_HOP = Difference("hop-by-hop headers", _hop_by_hop)


def _tells_length(plain: Seen, mesh: Seen) -> None:
    here, there = json.loads(plain["client"]["body"]), json.loads(mesh["client"]["body"])
    there["headers"].remove(["content-length", str(len(there["body"]))])
    assert here == there
    _same_but(plain, mesh, "client")


TELLS_LENGTH = Difference("`content-length` in a Worker's response", _tells_length)


def _not_http(plain: Seen, mesh: Seen) -> None:
    assert json.loads(plain["client"]["body"]) == {"error": "Error: Network connection lost."}
    assert json.loads(mesh["client"]["body"]) == {
        "error": "Error: 127.0.0.1 did not answer in valid HTTP/1.1"
    }
    _same_but(plain, mesh, "client")


NOT_HTTP = Difference("an origin that breaks HTTP/1.1", _not_http)


def _broken_chunk(plain: Seen, mesh: Seen) -> None:
    assert (plain["client"]["body"], plain["client"]["ended"]) == (b"ab", "cut")
    assert mesh["client"]["body"] == b"Error: 127.0.0.1 did not answer in valid HTTP/1.1"
    _same_but(plain, mesh, "client")


BROKEN_CHUNK = Difference("an origin that breaks HTTP/1.1", _broken_chunk)


def _no_first_byte(plain: Seen, mesh: Seen) -> None:
    assert (plain["client"]["start"], plain["client"]["ended"]) == ("HTTP/1.1 000 none", "cut")
    assert mesh["client"]["body"] == b"Error: Network connection lost."
    _same_but(plain, mesh, "client")


NO_FIRST_BYTE = Difference("a response body that breaks off before its first byte", _no_first_byte)


def _class_of_its_own(plain: Seen, mesh: Seen) -> None:
    assert plain["client"].pop("body") == b"Error: " + mesh["client"].pop("body")
    del plain["client"]["length"], mesh["client"]["length"]
    assert plain == mesh


CLASS_OF_ITS_OWN = Difference("an exception of a class of the Worker's own", _class_of_its_own)


def _no_cf(plain: Seen, mesh: Seen) -> None:
    assert json.loads(mesh["client"]["body"]) == {"cf": None}
    assert json.loads(plain["client"]["body"])["cf"].keys() == {"clientIp"}


NO_CF = Difference("`request.cf`", _no_cf)


def _other_scheme(plain: Seen, mesh: Seen) -> None:
    (ftp,) = [said for said in plain["workers"] if said["url"].startswith("ftp:")]
    plain["workers"].remove(ftp)
    assert plain == mesh


OTHER_SCHEME = Difference("a redirect to another scheme", _other_scheme)


def _same_but(plain: Seen, mesh: Seen, key: str) -> None:
    """Everything else is the same."""
    assert {k: v for k, v in plain.items() if k != key} == {
        k: v for k, v in mesh.items() if k != key
    }
