"""What the seed promises about each request of the demo, held against what was seen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from origin import JWT_KEY, Received, verified
from sluice_dev import Answer
from trace_tree import path_to

API_CALL = "https://api.example.com/v1/profile"

Claims = Iterator[tuple[str, bool]]


@dataclass(frozen=True)
class Visit:
    """A client's request to a customer's Worker, and what it caused."""

    customer: str
    answer: Answer
    logged: Sequence[Received]
    """What came to the log service."""
    fetched: Sequence[Received]
    """What came to any other host."""
    egress: Sequence[str]
    """Lines of the egress log."""


def of_api(visit: Visit) -> Claims:
    """A customer that uses the platform's API, and has no credentials."""
    scheme, _, token = (visit.fetched[0].authorization or "").partition(" ")
    yield "the API was sent Authorization: Bearer <jwt>", scheme == "Bearer"
    yield "the JWT is signed and names the customer", verified(token, JWT_KEY)["sub"] == "api"
    profile = {"customer": "api", "plan": "pro"}
    yield "the client got what the API said", visit.answer == (200, json.dumps(profile))
    yield from _of_subrequest(visit)


def of_acme(visit: Visit) -> Claims:
    """A customer that fetches from somewhere else."""
    yield "no Authorization was added", visit.fetched[0].authorization is None
    yield "the client got the Worker's list", visit.answer.body.startswith("1. Rain stops\n2. ")
    yield from _of_subrequest(visit)


def _of_subrequest(visit: Visit) -> Claims:
    customer = visit.customer
    record = {"customer_name": customer, "original_url": f"http://{customer}.example.com/"}
    logged = [json.loads(received.body) for received in visit.logged]
    yield "the log service was told who made a subrequest, once", logged == [record]
    pattern = rf"production/{customer} -> GET {visit.fetched[0].url} allow 200 .*via outbound"
    in_log = [bool(re.search(pattern, line)) for line in visit.egress]
    yield "the egress log has one line of it", in_log == [True]


def of_faulty(visit: Visit) -> Claims:
    """A customer whose Worker throws."""
    thrown = (500, "there is no price for today")
    yield "the client got 500 with the Worker's message", visit.answer == thrown
    yield "nothing left the platform", not visit.fetched and not visit.logged


def of_unknown(visit: Visit) -> Claims:
    """A name that no customer has."""
    yield "the client got 404 with an empty body", visit.answer == (404, "")
    yield "nothing left the platform", not visit.fetched and not visit.logged


OF_CUSTOMER: dict[str, Callable[[Visit], Claims]] = {
    "api": of_api,
    "acme": of_acme,
    "faulty": of_faulty,
    "unknown": of_unknown,
}


def of_trace(trace: Sequence[str]) -> Claims:
    """The trace of the request to the first customer, as `sluice dev --traces` printed it."""
    path = path_to(trace, f"={API_CALL}")
    services = list(dict.fromkeys(span.service for span in path))
    through = ["dispatcher", "userworker", "outbound"]
    yield "one trace leads from the client through all services to the API", services == through
    ran = [span.name for span in path if "Worker " in span.name]
    workers = ["dispatch Worker dispatch", "user Worker api", "Outbound Worker outbound"]
    yield "it passes the three Workers in their order", ran == workers
